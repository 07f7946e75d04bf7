using System.Text.Json.Serialization;

namespace K2Cluster.Cli;

/// <summary>What <c>k2 bench fabric</c> does.</summary>
/// <param name="Bytes">Of payload, each way.</param>
/// <param name="Calls">Of each way in a round, one after the other.</param>
/// <param name="Rounds">How often each way has its turn.</param>
internal sealed record FabricBenchOptions(int Bytes, int Calls, int Rounds);

/// <summary>What <c>k2 bench fabric</c> measured.</summary>
internal sealed record FabricReport(MachineFacts Machine, FabricBenchOptions Options, IReadOnlyList<FabricResult> Ways);

/// <param name="Way">What carried the bytes.</param>
/// <param name="Microseconds">Round trips.</param>
/// <param name="RatioToEcho">The median, to that of the plain blocking echo of the same kind, TLS or not.</param>
/// <param name="AllocatedBytesPerCall">Of all threads of both ends.</param>
internal sealed record FabricResult(string Way, Spread Microseconds, double RatioToEcho, double AllocatedBytesPerCall);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(FabricReport))]
internal sealed partial class FabricReportJson : JsonSerializerContext;
