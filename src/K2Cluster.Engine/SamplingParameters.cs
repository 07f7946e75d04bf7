namespace K2Cluster.Engine;

/// <summary>How the next token is chosen. The defaults but temperature's change nothing.</summary>
/// <remarks>
/// The order, as vLLM has it:
/// <list type="number">
/// <item>Log-probabilities are taken from the logits as the model gave them.</item>
/// <item><see cref="LogitBias"/> is added.</item>
/// <item>Penalties: repetition over prompt and generated tokens, then frequency and presence over generated tokens alone.</item>
/// <item><see cref="MinTokens"/> forbids the tokens that would end the text; then <see cref="GenerationRequest.LogitsProcessor"/>
/// runs. A logit of negative infinity is left as it is by every step, so nothing that is forbidden comes back.</item>
/// <item>Temperature 0 takes the highest logit. Otherwise logits are divided by the temperature and become weights.</item>
/// <item>Of these remain: the <see cref="TopK"/> highest logits, of them those with <see cref="MinP"/> of the highest weight,
/// of them the smallest set with <see cref="TopP"/> of their sum.</item>
/// <item>One is drawn, keyed by seed, choice and position.</item>
/// </list>
/// </remarks>
/// <param name="Temperature">Finite, not negative. 0 is greedy: the highest logit, the lowest id where two are equal. At most 2 by OpenAI's API.</param>
/// <param name="TopP">In (0, 1]: keep the smallest set of tokens whose probability reaches this; 1 keeps all.</param>
/// <param name="Seed">
/// Key of the counter-based generator: the same seed gives the same tokens, whatever else runs. Where a client gave none, the
/// caller draws one and records it.
/// </param>
public sealed record SamplingParameters(float Temperature = 1, float TopP = 1, ulong Seed = 0)
{
    /// <summary>Most entries of <see cref="LogitBias"/>, as vLLM has it.</summary>
    public const int MaxLogitBias = 1024;

    /// <summary>Most of <see cref="TopLogprobs"/>, as OpenAI has it.</summary>
    public const int MaxTopLogprobs = 20;

    /// <summary>The range of a bias is ± this.</summary>
    public const float MaxBias = 100;

    /// <summary>The range of presence and frequency penalties is ± this.</summary>
    public const float MaxPenalty = 2;

    /// <summary>Repetition penalties lie between this and its inverse: logits stay finite.</summary>
    public const float MaxRepetitionPenalty = 100;

    public static SamplingParameters Greedy { get; } = new(Temperature: 0);

    /// <summary>Keep this many of the highest logits, the lowest ids where some are equal; 0 keeps all.</summary>
    public int TopK { get; init; }

    /// <summary>In [0, 1]: keep the tokens that have at least this part of the highest probability.</summary>
    public float MinP { get; init; }

    /// <summary>Positive logits of tokens in the prompt or the answer so far are divided by it, negative ones multiplied; 1 changes nothing.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Subtracted from the logit of each token that was generated.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Subtracted from the logit of each token as often as it was generated.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>At most <see cref="MaxLogitBias"/>; several for one token add up.</summary>
    public IReadOnlyList<TokenBias> LogitBias { get; init; } = [];

    /// <summary>Until so many tokens were generated, those in <see cref="GenerationRequest.StopTokens"/> cannot be chosen.</summary>
    public int MinTokens { get; init; }

    /// <summary>How many of the likeliest tokens to report beside the chosen one; null reports no log-probabilities at all.</summary>
    public int? TopLogprobs { get; init; }

    internal bool HasPenalties => RepetitionPenalty != 1 || PresencePenalty != 0 || FrequencyPenalty != 0;
}
