using System.Diagnostics;
using System.Net;
using K2Cluster.Fabric;

namespace K2Cluster.Cli;

/// <summary>Over the fabric.</summary>
internal sealed class FabricWay : IBenchWay, IFabricService
{
    private readonly int _bytes;
    private readonly bool _isInline;
    private readonly FabricListener _listener;
    private readonly FabricPeer _peer;
    private readonly Call _call = new();
    private readonly ManualResetEventSlim _answered = new(false, FabricWait.Spins);
    private readonly CancellationTokenSource _cancellation = new();
    private readonly Action _next;
    private readonly Action _setAnswered;
    private ValueTask<int> _reply;
    private long[] _ticks = [];
    private int _index;
    private long _sent;

    public FabricWay(int bytes, BenchCertificate? certificate, bool isInline)
    {
        (_bytes, _isInline, _next, _setAnswered) = (bytes, isInline, Next, _answered.Set);
        FabricOptions options = new() { ClusterId = "bench", Name = "bench", ClientTls = certificate is null ? null : certificate.Client, ServerTls = certificate is null ? null : certificate.Server };
        _listener = new FabricListener(new(IPAddress.Loopback, 0), options, this);
        _peer = new FabricPeer("bench", _listener.EndPoint, options);
        long start = Stopwatch.GetTimestamp();
        while (!_peer.IsReady(FabricLane.Decode))
        {
            if (Stopwatch.GetElapsedTime(start).TotalSeconds > 10)
                throw new CommandException("The bench cannot connect to itself over loopback within 10 s.");
            Thread.Sleep(1);
        }
    }

    public void Run(long[] ticks)
    {
        (_ticks, _index) = (ticks, 0);
        _answered.Reset();
        if (_isInline)
        {
            Send(_next);
            _answered.Wait();
            return;
        }

        for (; _index < ticks.Length; _index++)
        {
            _answered.Reset();
            Send(_setAnswered);
            _answered.Wait();
            Take();
        }
    }

    public void Serve(FabricRequest request, ReadOnlySpan<byte> head, PooledBytes payload) => request.Reply(head, payload);

    public void Dispose()
    {
        _peer.Dispose();
        _listener.Dispose();
        _answered.Dispose();
        _cancellation.Dispose();
    }

    private void Send(Action onAnswer)
    {
        _sent = Stopwatch.GetTimestamp();
        if (_peer.TrySend(FabricLane.Decode, _call, "a head of forty bytes, as a frame's is.."u8, PooledBytes.Rent(_bytes), _bytes, _cancellation.Token, out _reply) != SendOutcome.Taken)
            throw new CommandException("The bench lost its connection.");
        _reply.ConfigureAwait(false).GetAwaiter().UnsafeOnCompleted(onAnswer);
    }

    private void Take()
    {
        if (_reply.ConfigureAwait(false).GetAwaiter().GetResult() != _bytes)
            throw new CommandException("An answer is not what was sent.");
        _ticks[_index] = Stopwatch.GetTimestamp() - _sent;
    }

    private void Next()
    {
        Take();
        if (++_index < _ticks.Length)
            Send(_next);
        else
            _answered.Set();
    }

    private sealed class Call : FabricCall<int>
    {
        protected override int Read(ReadOnlySpan<byte> head, PooledBytes payload)
        {
            payload.Return();
            return payload.Length;
        }

        protected override void Release()
        {
        }
    }
}
