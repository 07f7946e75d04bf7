using System.Text.Json.Serialization;

namespace K2Cluster.Cli;

/// <summary>What <c>k2 plan</c> found. Times in seconds, sizes in bytes.</summary>
internal sealed record PlanReport(
    string Model,
    int Layers,
    int ExpertsPerLayer,
    long ExpertBytes,
    long TrunkBytes,
    long KvBytesPerToken,
    bool Fits,
    int MissingExperts,
    long MissingBytes,
    long FreeBytes,
    IReadOnlyList<PlannedDevice> Devices,
    int HostsLostWithoutReload,
    int HostsLostWithReload,
    double LoadBytesPerSecond,
    IReadOnlyList<PlannedLoss> Losses,
    string Network,
    double GatewayBytesPerSecond,
    int Context,
    IReadOnlyList<PlannedStep> Steps);

/// <param name="Device">The host and a number.</param>
/// <param name="Host">What it is lost with.</param>
/// <param name="Kind">What gives equal bits.</param>
/// <param name="Bandwidth">Bytes that it reads in a second.</param>
/// <param name="Capacity">Experts that fit.</param>
/// <param name="Experts">Experts that it owns.</param>
/// <param name="Replicas">Further replicas that it holds.</param>
/// <param name="Bytes">Of both.</param>
internal sealed record PlannedDevice(string Device, string Host, string Kind, double Bandwidth, int Capacity, int Experts, int Replicas, long Bytes);

/// <param name="Host">What is lost.</param>
/// <param name="Lost">Experts of which the host has the only replica.</param>
/// <param name="Homeless">Those for which the others have no room.</param>
/// <param name="ReloadSeconds">Null when there is no room for all.</param>
internal sealed record PlannedLoss(string Host, int Lost, int Homeless, double? ReloadSeconds);

internal sealed record PlannedStep(int Batch, double Trunk, double Experts, double Network, double Total, double TokensPerSecond);

[JsonSourceGenerationOptions(WriteIndented = true, PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(PlanReport))]
internal sealed partial class PlanReportJson : JsonSerializerContext;
