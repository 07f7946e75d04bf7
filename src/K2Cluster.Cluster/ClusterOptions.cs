using System.Net;
using K2Cluster.Checkpoint;
using K2Cluster.Cluster.Security;

namespace K2Cluster.Cluster;

/// <summary>This process as a member of a cluster.</summary>
public sealed record ClusterOptions
{
    public required ClusterMode Mode { get; init; }

    /// <summary>The model's cluster id: processes with the same one form a cluster. Letters, digits, '.', '_' and '-'.</summary>
    public required string ClusterId { get; init; }

    /// <summary>This process's name among the members, alive at most once. Letters, digits, '.', '_' and '-'. A silo that comes back under its name has the same shards.</summary>
    public required string SiloName { get; init; }

    /// <summary>Whether grains of ours may live here: true for a silo and for an embedded one, false for a gateway before other silos.</summary>
    public required bool HostsShards { get; init; }

    /// <summary>Where cluster traffic is accepted; port 0 (the default) takes a free one.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>Where the other members reach this one; null: as <see cref="Listen"/>. Its port must be Listen's, or 0.</summary>
    public IPEndPoint? Advertise { get; init; }

    /// <summary>Of this process's checkpoint: members with another one do not fit. Null: not compared.</summary>
    public CheckpointFingerprint? Checkpoint { get; init; }

    /// <summary>TLS between the members; null: none.</summary>
    public ClusterCertificates? Certificates { get; init; }

    /// <summary>Whether activations may be taken beyond this machine without TLS.</summary>
    public bool Insecure { get; init; }

    /// <summary>"HOST:PORT" for <see cref="ClusterMode.Redis"/>, options of StackExchange.Redis behind commas.</summary>
    public string? Redis { get; init; }

    /// <summary>Where <see cref="ClusterMode.Localhost"/> keeps its members; null: a folder of this user under the temporary directory.</summary>
    public string? StateFolder { get; init; }

    /// <summary>Whether operators' tools may ask here (<see cref="Operators.PlacementClient"/>): at a port of its own, as protected as <see cref="Listen"/>'s.</summary>
    internal bool TakesOperators => HostsShards && Mode != ClusterMode.Embedded;

    internal string StateFolderOrDefault => StateFolder ?? Path.Combine(Path.GetTempPath(), $"k2cluster-{Environment.UserName}");

    /// <exception cref="ClusterException">A value is not allowed.</exception>
    internal void Check()
    {
        CheckName(nameof(ClusterId), ClusterId);
        CheckName(nameof(SiloName), SiloName);
        if (Mode == ClusterMode.Redis && string.IsNullOrWhiteSpace(Redis))
            throw new ClusterException("A cluster over Redis needs Redis' HOST:PORT.");
        if (Mode == ClusterMode.Embedded && !HostsShards)
            throw new ClusterException("An embedded cluster has no other process that could host the shards.");
        if (Advertise is { Port: not 0 } && Listen.Port != 0 && Advertise.Port != Listen.Port)
            throw new ClusterException($"Advertised port {Advertise.Port} is not the port listened on, {Listen.Port}: port mapping is not supported.");
    }

    private static void CheckName(string option, string name)
    {
        if (name.Length is 0 or > 64 || name[0] == '.' || !name.All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-'))
            throw new ClusterException($"{option} '{name}': expected up to 64 letters, digits and . _ -, not starting with a dot.");
    }
}
