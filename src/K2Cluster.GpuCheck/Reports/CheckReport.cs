using System.Text.Json.Serialization;

namespace K2Cluster.GpuCheck.Reports;

/// <summary>All that a check found.</summary>
/// <param name="Passed">Nothing disagreed and nothing failed.</param>
/// <param name="Quick">Small shapes only: the figures say nothing.</param>
/// <param name="Card">What it ran on.</param>
/// <param name="TimeUtc">When it began.</param>
/// <param name="Seconds">How long it took.</param>
/// <param name="Verified">What was compared with the CPU.</param>
/// <param name="Disagreements">What was not as it should be.</param>
/// <param name="Ceiling">10^9 bytes a second that the card copies, read plus written: the median of the faster way.</param>
/// <param name="Copies">Both ways to copy.</param>
/// <param name="Kernels">Single kernels.</param>
/// <param name="Layers">Whole layers.</param>
/// <param name="LeftOut">What was not done, and why.</param>
public sealed record CheckReport(
    bool Passed,
    bool Quick,
    CardFacts Card,
    DateTimeOffset TimeUtc,
    double Seconds,
    IReadOnlyList<VerifiedKernel> Verified,
    IReadOnlyList<Disagreement> Disagreements,
    double Ceiling,
    IReadOnlyList<CopyResult> Copies,
    IReadOnlyList<KernelResult> Kernels,
    IReadOnlyList<LayerResult> Layers,
    IReadOnlyList<string> LeftOut);

/// <param name="Clock">The highest of the multiprocessors, MHz.</param>
/// <param name="Driver">The CUDA version that the driver knows.</param>
public sealed record CardFacts(
    string Name, string Capability, long MemoryBytes, int Multiprocessors, long L2Bytes, int SharedBytesPerBlock, int Clock, bool Ecc, string Driver, string Host, string Version);

/// <param name="Target">Of the PTX.</param>
/// <param name="Kernel">Its name.</param>
/// <param name="Launches">That were compared.</param>
/// <param name="WorstError">The largest relative error of a row; 0 for kernels that must be exact.</param>
public sealed record VerifiedKernel(string Target, string Kernel, int Launches, double WorstError);

/// <summary>Microseconds.</summary>
public sealed record Times(double Best, double Median);

/// <param name="GBPerSecond">Read plus written, by the median.</param>
public sealed record CopyResult(string Way, long Bytes, Times Microseconds, double GBPerSecond);

/// <param name="Experts">Active ones; for the shuffle, experts that it brings in.</param>
/// <param name="Rows">Of each expert; 0 for the shuffle; for the route, pairs in all.</param>
/// <param name="GBPerSecond">Weights, once each, and rows in and out, by the median.</param>
/// <param name="ShareOfCeiling">Of what the card copies.</param>
/// <param name="TorchMicroseconds">What BF16 products of the same shapes take this machine's PyTorch; null where that was not measured.</param>
public sealed record KernelResult(
    string Target, string Kernel, int Experts, int Rows, Times Microseconds, double GBPerSecond, double ShareOfCeiling, double TFlops, double? TorchMicroseconds = null);

/// <param name="Format">Of the experts: int4 or bf16.</param>
/// <param name="Batch">Tokens.</param>
/// <param name="Experts">Distinct ones.</param>
/// <param name="Size">Which kernels: small or large.</param>
/// <param name="FloorMicroseconds">The bytes of the distinct experts at the speed of the ceiling.</param>
/// <param name="Ratio">The median over the floor.</param>
/// <param name="IsDevices">Whether a device takes these kernels for such a batch.</param>
public sealed record LayerResult(string Target, string Format, int Batch, double Experts, string Size, Times Microseconds, double FloorMicroseconds, double Ratio, bool IsDevices);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(CheckReport))]
internal sealed partial class CheckReportJson : JsonSerializerContext;
