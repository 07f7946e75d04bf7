namespace K2Cluster.Grains.Placement;

/// <summary>What membership says, by silo names.</summary>
/// <param name="Hosts">Silos alive that host our grains.</param>
/// <param name="Gone">Names that membership knows and of which none is alive.</param>
/// <param name="Gateways">Members alive that do not: each of them asks for plans.</param>
internal sealed record SiloView(IReadOnlySet<string> Hosts, IReadOnlySet<string> Gone, IReadOnlySet<string> Gateways);
