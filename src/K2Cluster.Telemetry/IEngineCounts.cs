namespace K2Cluster.Telemetry;

/// <summary>What an engine holds at the moment. Read on whatever thread collects.</summary>
public interface IEngineCounts
{
    int WaitingRequests { get; }

    int RunningRequests { get; }

    /// <summary>KV pages that running requests hold.</summary>
    int UsedPages { get; }

    /// <summary>KV pages that only the prefix cache holds.</summary>
    int CachedPages { get; }

    int FreePages { get; }
}
