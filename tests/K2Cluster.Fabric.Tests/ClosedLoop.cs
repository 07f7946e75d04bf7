namespace K2Cluster.Fabric.Tests;

/// <summary>One call after the other, each sent as the one before is answered; the token can be cancelled, as a dispatcher's can.</summary>
internal sealed class ClosedLoop : FabricCall<int>, IDisposable
{
    private readonly FabricPeer _peer;
    private readonly int _length;
    private readonly CancellationTokenSource _cancellation = new();
    private readonly ManualResetEventSlim _done = new();
    private readonly Action _next;
    private ValueTask<int> _reply;
    private int _left;

    public ClosedLoop(FabricPeer peer, int length)
    {
        (_peer, _length) = (peer, length);
        _next = Next;
    }

    public void Run(int calls)
    {
        _left = calls;
        _done.Reset();
        Send();
        Assert.True(_done.Wait(TimeSpan.FromSeconds(30)), $"{_left} calls were not answered.");
    }

    public void Dispose()
    {
        _cancellation.Dispose();
        _done.Dispose();
    }

    protected override int Read(ReadOnlySpan<byte> head, PooledBytes payload)
    {
        payload.Return();
        return payload.Length;
    }

    protected override void Release()
    {
    }

    private void Send()
    {
        if (_peer.TrySend(FabricLane.Decode, this, "call"u8, PooledBytes.Rent(_length), _length, _cancellation.Token, out _reply) != SendOutcome.Taken)
            throw new InvalidOperationException("The call was not sent.");
        _reply.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(_next);
    }

    private void Next()
    {
        if (_reply.ConfigureAwait(false).GetAwaiter().GetResult() != _length)
            throw new InvalidOperationException("The reply is not what was sent.");
        if (--_left > 0)
            Send();
        else
            _done.Set();
    }
}
