using System.Runtime.InteropServices;

namespace K2Cluster.Engine.Sampling;

/// <summary>
/// How the logits of one sequence are changed before a token is chosen. What it does follows from the tokens so far alone: the
/// counts that penalties need are kept from call to call only to save counting anew, and can be made from the tokens at any time.
/// </summary>
internal sealed class SamplingState
{
    private readonly GenerationRequest _request;
    private readonly int[] _stopTokens;

    /// <summary>Twice how often each token was generated, and 1 more for one that the prompt has; null without penalties.</summary>
    private readonly Dictionary<int, int>? _counts;

    private int _counted;
    private int _last;

    /// <param name="request">Validated. Its prompt is counted here, on the thread of whoever submits it.</param>
    public SamplingState(GenerationRequest request)
    {
        _request = request;
        _stopTokens = [.. request.StopTokens];
        if (request.Sampling.HasPenalties)
        {
            _counts = [];
            CountPrompt(request.Prompt.Span);
        }
    }

    /// <summary>Whether <see cref="Apply"/> may change anything at this point.</summary>
    public bool Changes(int tokens) =>
        _counts is not null || _request.Sampling.LogitBias.Count > 0 || Forbids(tokens) || _request.LogitsProcessor is not null;

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
        if (_counts is not null)
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
        Count(tokens);
        SamplingParameters parameters = _request.Sampling;
        // Each token once, so the order in which the dictionary has them changes nothing.
        foreach ((int token, int count) in _counts!)
        {
            float logit = logits[token];
            logit = logit > 0 ? logit / parameters.RepetitionPenalty : logit * parameters.RepetitionPenalty;
            int generated = count >> 1;
            if (generated > 0)
                logit = logit - (parameters.FrequencyPenalty * generated) - parameters.PresencePenalty;
            // What is large beyond reason must not become infinite.
            logits[token] = MathF.Min(logit, float.MaxValue);
        }
    }

    private void Count(ReadOnlySpan<int> tokens)
    {
        int prompt = _request.Prompt.Length;
        if (tokens.Length < _counted || (_counted > prompt && tokens[_counted - 1] != _last))
            CountPrompt(tokens[..prompt]);
        for (; _counted < tokens.Length; _counted++)
        {
            _last = tokens[_counted];
            CollectionsMarshal.GetValueRefOrAddDefault(_counts!, _last, out _) += 2;
        }
    }

    private void CountPrompt(ReadOnlySpan<int> prompt)
    {
        _counts!.Clear();
        _counted = prompt.Length;
        if (_request.Sampling.RepetitionPenalty == 1)
            return;
        foreach (int token in prompt)
            _counts[token] = 1;
    }
}
