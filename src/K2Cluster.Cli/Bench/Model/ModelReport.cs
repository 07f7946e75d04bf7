using System.Text.Json.Serialization;

namespace K2Cluster.Cli;

/// <summary>
/// What <c>k2 bench model</c> measured. It is void where something was faster than memory can be read: then a cache or the
/// measurement is at fault.
/// </summary>
internal sealed record ModelReport(
    bool IsVoid,
    MachineFacts Machine,
    ModelBenchOptions Options,
    double ReadCeilingGBPerSecond,
    string ReadCeilingLoop,
    IReadOnlyList<PrefillResult> Prefill,
    IReadOnlyList<DecodeResult> Decode);

/// <param name="Tokens">Of the prompt.</param>
/// <param name="TokensPerSecond">Of the prompt, until the logits of its last token are there.</param>
internal sealed record PrefillResult(int Tokens, Rounds TokensPerSecond);

/// <param name="Batch">Sequences that decode together.</param>
/// <param name="TokensPerSecond">Of all of them.</param>
/// <param name="MegabytesPerToken">Of weights and KV cache that a token's step must read, over the sequences that share it.</param>
/// <param name="ShareOfCeiling">Those bytes in that time, as a share of what memory can be read at.</param>
internal sealed record DecodeResult(int Batch, Rounds TokensPerSecond, double MegabytesPerToken, double ShareOfCeiling);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(ModelReport))]
internal sealed partial class ModelReportJson : JsonSerializerContext;
