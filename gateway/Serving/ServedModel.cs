using K2Cluster.Engine;
using K2Cluster.Text;

namespace K2Cluster.Gateway.Serving;

/// <summary>The one model that this gateway serves.</summary>
/// <param name="name">The name by which requests ask for it.</param>
/// <param name="engine">Runs it.</param>
/// <param name="tokenizer">Null for a checkpoint without one: it serves token ids only.</param>
/// <param name="created">When this gateway began to serve it.</param>
internal sealed class ServedModel(string name, IEngine engine, K2Tokenizer? tokenizer, DateTimeOffset created)
{
    public string Name { get; } = name;

    public IEngine Engine { get; } = engine;

    public K2Tokenizer? Tokenizer { get; } = tokenizer;

    public DateTimeOffset Created { get; } = created;

    /// <summary>Temperature of requests that give none: the checkpoint's own, else 1.</summary>
    public double DefaultTemperature { get; init; } = 1;

    /// <summary>Top-p of requests that give none: the checkpoint's own, else 1.</summary>
    public double DefaultTopP { get; init; } = 1;

    /// <summary>Tokens that end a text: the checkpoint's and the tokenizer's.</summary>
    public IReadOnlyCollection<int> StopTokens { get; init; } = tokenizer?.Special.Stops ?? [];

    /// <summary>Bytes of the longest token; 0 without a tokenizer. A text has no fewer tokens than its bytes divided by this.</summary>
    public int LongestToken { get; } = tokenizer is null ? 0 : Enumerable.Range(0, tokenizer.VocabularySize).Max(id => tokenizer.Bytes(id).Length);

    /// <exception cref="RequestException">Another model is asked for.</exception>
    public void CheckName(string? asked)
    {
        if (asked is not null && asked != Name)
            throw new RequestException(RequestFault.ModelNotFound, $"The model '{Excerpt.Of(asked)}' does not exist here; this gateway serves '{Name}'.", "model", "model_not_found");
    }

    /// <exception cref="RequestException">The checkpoint has no tokenizer.</exception>
    public K2Tokenizer TokenizerFor(string parameter) =>
        Tokenizer ?? throw RequestException.Invalid(parameter, $"The checkpoint of '{Name}' has no tokenizer, so it takes and gives token ids only: send the prompt to /v1/completions as ids, with return_token_ids.", "no_tokenizer");
}
