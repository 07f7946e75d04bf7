using System.Numerics;
using System.Runtime.InteropServices;

namespace K2Cluster.Engine.Sampling;

/// <summary>
/// How the logits of one sequence are changed before a token is chosen. What it does follows from the tokens so far alone: the
/// counts that penalties need are kept from call to call only to save counting anew, and can be made from the tokens at any time.
/// </summary>
internal sealed class SamplingState
{
    private const int WordBits = 64;

    private readonly GenerationRequest _request;
    private readonly int[] _stopTokens;

    /// <summary>How often each token was generated.</summary>
    private readonly Dictionary<int, int> _generated = [];

    /// <summary>A bit for each token of prompt and answer. Made when it is first needed: requests that wait hold none.</summary>
    private ulong[] _seen = [];

    private int _counted;
    private int _last;

    /// <param name="request">Validated.</param>
    public SamplingState(GenerationRequest request)
    {
        _request = request;
        _stopTokens = [.. request.StopTokens];
    }

    /// <summary>Whether <see cref="Apply"/> may change anything at this point.</summary>
    public bool Changes(int tokens) =>
        _request.Sampling.HasPenalties || _request.Sampling.LogitBias.Count > 0 || Forbids(tokens) || _request.LogitsProcessor is not null;

    /// <summary>Applies biases, penalties, the least length and the request's processor, in this order.</summary>
    /// <param name="tokens">
    /// The prompt and what was generated so far. Against the call before, tokens may have been appended, or be gone from the
    /// end: a caller that tries out several continuations appends them one by one.
    /// </param>
    /// <param name="logits">[vocabulary]; changed in place.</param>
    public void Apply(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        IReadOnlyList<TokenBias> biases = _request.Sampling.LogitBias;
        for (int i = 0; i < biases.Count; i++)
            logits[biases[i].Token] += biases[i].Bias;
        if (_request.Sampling.HasPenalties)
            Penalise(tokens, logits);
        if (Forbids(tokens.Length))
        {
            foreach (int token in _stopTokens)
                logits[token] = float.NegativeInfinity;
        }

        _request.LogitsProcessor?.Apply(tokens, _request.Prompt.Length, logits);
    }

    private bool Forbids(int tokens) => _stopTokens.Length > 0 && tokens - _request.Prompt.Length < _request.Sampling.MinTokens;

    private void Penalise(ReadOnlySpan<int> tokens, Span<float> logits)
    {
        SamplingParameters parameters = _request.Sampling;
        Count(tokens, logits.Length);
        // Each token once, so the order in which they come changes nothing.
        for (int word = 0; word < _seen.Length; word++)
        {
            for (ulong left = _seen[word]; left != 0; left &= left - 1)
            {
                ref float logit = ref logits[(word * WordBits) + BitOperations.TrailingZeroCount(left)];
                logit = logit > 0 ? logit / parameters.RepetitionPenalty : logit * parameters.RepetitionPenalty;
                // What is large beyond reason must not become infinite.
                logit = MathF.Min(logit, float.MaxValue);
            }
        }

        foreach ((int token, int count) in _generated)
            logits[token] = MathF.Min(logits[token] - (parameters.FrequencyPenalty * count) - parameters.PresencePenalty, float.MaxValue);
    }

    private void Count(ReadOnlySpan<int> tokens, int vocabulary)
    {
        int prompt = _request.Prompt.Length;
        bool repetition = _request.Sampling.RepetitionPenalty != 1;
        if (_counted == 0 || tokens.Length < _counted || (_counted > prompt && tokens[_counted - 1] != _last))
        {
            _generated.Clear();
            _counted = prompt;
            if (repetition)
                See(tokens[..prompt], vocabulary);
        }

        for (; _counted < tokens.Length; _counted++)
        {
            _last = tokens[_counted];
            CollectionsMarshal.GetValueRefOrAddDefault(_generated, _last, out _)++;
            if (repetition)
                _seen[_last / WordBits] |= 1UL << (_last % WordBits);
        }
    }

    private void See(ReadOnlySpan<int> prompt, int vocabulary)
    {
        if (_seen.Length == 0)
            _seen = new ulong[(vocabulary + WordBits - 1) / WordBits];
        _seen.AsSpan().Clear();
        foreach (int token in prompt)
            _seen[token / WordBits] |= 1UL << (token % WordBits);
    }
}
