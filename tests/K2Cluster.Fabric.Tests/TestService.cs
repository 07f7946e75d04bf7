using System.Collections.Concurrent;

namespace K2Cluster.Fabric.Tests;

/// <summary>Answers a request with itself; one whose head begins with 'h' is held until the test answers it, one with 't' makes it throw.</summary>
internal sealed class TestService : IFabricService
{
    public ConcurrentQueue<FabricRequest> Held { get; } = [];

    public void Serve(FabricRequest request, ReadOnlySpan<byte> head, PooledBytes payload)
    {
        switch (head.IsEmpty ? 0 : head[0])
        {
            case (byte)'h':
                payload.Return();
                Held.Enqueue(request);
                break;
            case (byte)'t':
                payload.Return();
                throw new InvalidOperationException("thrown by the service");
            default:
                request.Reply(head, payload);
                break;
        }
    }
}
