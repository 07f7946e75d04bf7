namespace K2Cluster.Hosting;

/// <summary>Which of the two executables a process is.</summary>
public enum K2Role
{
    Gateway,
    Silo,
}
