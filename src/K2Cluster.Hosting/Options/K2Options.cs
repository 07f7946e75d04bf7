using System.Net;
using K2Cluster.Cluster;
using K2Cluster.Cluster.Security;
using K2Cluster.Kernels.Devices.Cpu;

namespace K2Cluster.Hosting;

/// <summary>
/// What an operator chose, complete and checked. Each value comes from the command line, the environment (K2__Model),
/// a configuration file (K2:Model) or its default, in this order; see docs/configuration.md.
/// </summary>
public sealed record K2Options
{
    public required K2Role Role { get; init; }

    /// <summary>The checkpoint's directory, absolute, exists.</summary>
    public required string Model { get; init; }

    /// <summary>The name under which the model is served.</summary>
    public required string Name { get; init; }

    public required ClusterMode Cluster { get; init; }

    /// <summary>"HOST:PORT", with StackExchange.Redis' options behind commas where given. Null unless <see cref="Cluster"/> is Redis.</summary>
    public string? Redis { get; init; }

    /// <summary>Processes with one id form one cluster. Letters, digits, '.', '_', '-': usable as a file name.</summary>
    public required string ClusterId { get; init; }

    /// <summary>Whether <see cref="ClusterId"/> was not given and is made from the model's path.</summary>
    public bool HasClusterIdOfPath { get; init; }

    /// <summary>This process's name in the cluster: a silo's shards are known by it. Letters, digits, '.', '_', '-'.</summary>
    public required string SiloName { get; init; }

    /// <summary>Where experts are computed.</summary>
    public required DeviceChoice Device { get; init; }

    /// <summary>What INT4 experts are multiplied with on the CPU.</summary>
    public required CpuActivations CpuActivations { get; init; }

    /// <summary>Where the machine's NUMA nodes are listed, each of which is a device; null for one device for all.</summary>
    public string? NumaDirectory { get; init; }

    /// <summary>Bytes that expert weights may take in the host's memory (silo, or gateway with an embedded one).</summary>
    public required long Memory { get; init; }

    /// <summary>Bytes that they may take on each GPU: as <see cref="Memory"/> where that was given, else null for what is free there.</summary>
    public long? GpuMemory { get; init; }

    /// <summary>Bytes that the KV cache may take (gateway).</summary>
    public required long KvMemory { get; init; }

    /// <summary>Whether requests that begin alike share KV memory (gateway).</summary>
    public required bool PrefixCache { get; init; }

    /// <summary>Most tokens to guess ahead in a step, 0 to 16 (gateway).</summary>
    public required int Speculate { get; init; }

    /// <summary>Requests that run at once (gateway); at least 1.</summary>
    public required int MaxRunning { get; init; }

    /// <summary>Requests that may wait (gateway); at least 1.</summary>
    public required int MaxWaiting { get; init; }

    /// <summary>Rows of a step (gateway), 1 to 8192.</summary>
    public required int StepTokens { get; init; }

    /// <summary>Rows of prompts in a step with decodes (gateway), 1 to 8192.</summary>
    public required int ChunkTokens { get; init; }

    /// <summary>Compute threads.</summary>
    public required int Threads { get; init; }

    /// <summary>TLS for cluster traffic; null: none.</summary>
    public ClusterCertificates? Certificates { get; init; }

    /// <summary>Where cluster traffic is accepted. Port 0: any free one.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>Where the other processes of the cluster reach this one. Port 0: as <see cref="Listen"/>'s.</summary>
    public required IPEndPoint Advertise { get; init; }

    /// <summary>HTTP: the API of a gateway; of both, health and metrics.</summary>
    public required HttpAddress Http { get; init; }

    /// <summary>gRPC; null for a silo.</summary>
    public HttpAddress? Grpc { get; init; }

    /// <summary>How long a process that was asked to stop may take for what it has begun; zero for no time.</summary>
    public required TimeSpan DrainTimeout { get; init; }

    /// <summary>Whether listening beyond loopback is allowed where there are no TLS and keys.</summary>
    public required bool Insecure { get; init; }
}
