namespace K2Cluster.Fabric;

/// <summary>Serves what peers ask.</summary>
public interface IFabricService
{
    /// <summary>
    /// Takes a request, and answers it now or later, from any thread. Called on the thread that reads the connection: it must
    /// be short, and what it throws refuses the request.
    /// </summary>
    /// <param name="request">To be answered exactly once.</param>
    /// <param name="head">Valid during the call.</param>
    /// <param name="payload">The service's.</param>
    void Serve(FabricRequest request, ReadOnlySpan<byte> head, PooledBytes payload);

    /// <summary>Writes what the service says of itself in answer to a heartbeat, at most 1 KiB, and returns the length. Called as <see cref="Serve"/> is.</summary>
    int Progress(Span<byte> head) => 0;
}
