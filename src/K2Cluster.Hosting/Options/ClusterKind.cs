namespace K2Cluster.Hosting;

/// <summary>How the processes of a cluster find each other.</summary>
public enum ClusterKind
{
    /// <summary>The gateway hosts a silo inside itself: one process, nothing to find. Not for silos.</summary>
    Embedded,

    /// <summary>Any number of processes on this machine, through a folder that they share.</summary>
    Localhost,

    /// <summary>Several hosts, through Redis.</summary>
    Redis,
}
