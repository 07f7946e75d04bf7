using K2Cluster.Contracts;
using K2Cluster.Fabric;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>The options that both ends of the fabric share.</summary>
internal static class FabricDefaults
{
    public static FabricOptions Options(ClusterOptions cluster, FabricSecurity? security, TimeProvider time) => new()
    {
        ClusterId = cluster.ClusterId,
        Name = cluster.SiloName,
        PayloadBytes = FrameLimits.PayloadBytes,
        ClientTls = security?.Client,
        ServerTls = security?.Server,
        Time = time,
    };
}
