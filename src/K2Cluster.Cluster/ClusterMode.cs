namespace K2Cluster.Cluster;

/// <summary>How the processes of a cluster find each other.</summary>
public enum ClusterMode
{
    /// <summary>A cluster of one: this process. No file, no other service.</summary>
    Embedded,

    /// <summary>Processes of one user on one machine, through a folder.</summary>
    Localhost,

    /// <summary>Several hosts, through Redis.</summary>
    Redis,
}
