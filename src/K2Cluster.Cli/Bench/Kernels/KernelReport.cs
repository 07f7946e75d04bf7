using System.Text.Json.Serialization;

namespace K2Cluster.Cli;

/// <summary>
/// What <c>k2 bench kernels</c> measured. It is void where something was faster than memory can be read: then a cache or the
/// measurement is at fault.
/// </summary>
internal sealed record KernelReport(
    bool IsVoid,
    MachineFacts Machine,
    KernelBenchOptions Options,
    double ReadCeilingGBPerSecond,
    string ReadCeilingLoop,
    IReadOnlyList<KernelResult> Kernels);

/// <param name="Kernel">With the shape of its weights.</param>
/// <param name="Rows">That share a reading of them.</param>
/// <param name="GBPerSecond">10^9 bytes of weights a second.</param>
/// <param name="ShareOfCeiling">The median, as a share of what memory can be read at.</param>
internal sealed record KernelResult(string Kernel, int Rows, Rounds GBPerSecond, double ShareOfCeiling);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(KernelReport))]
internal sealed partial class KernelReportJson : JsonSerializerContext;
