namespace K2Cluster.Hosting;

/// <summary>
/// Whether a process can do its work. The process registers one as a singleton; <see cref="K2Program"/> waits for it,
/// then prints the ready line and opens /readyz. Members are called from several threads.
/// </summary>
public interface IReadiness
{
    /// <summary>Whether the process can do its work now. May turn false again, as when experts are lost: /readyz follows.</summary>
    bool IsReady { get; }

    /// <summary>
    /// One line without a full stop. When ready, what is served: "80 experts on 2 shards". When not, why, with progress:
    /// "loading experts, 12 of 80" or "16 of 80 experts are on no shard: start another silo".
    /// </summary>
    string Reason { get; }

    /// <summary>The same for clients, who may be strangers: names no host, no shard and no file.</summary>
    string PublicReason => "it starts, or lacks something that its operator sees";

    /// <summary>Ends when <see cref="IsReady"/> turns true; faults when it never will (a broken checkpoint), and the process then ends with the exception's message.</summary>
    Task WaitAsync(CancellationToken cancellation);
}
