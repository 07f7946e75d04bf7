using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class BatchCallsTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 1, 8);
    private static readonly DispatchOptions Options = new() { FirstHedge = TimeSpan.FromMilliseconds(30), CallTimeout = TimeSpan.FromMilliseconds(400) };
    private readonly FakeTimeProvider _time = new();
    private readonly MadeUpChannels _shards = new(Grid);
    private readonly RouteTable _routes;
    private readonly BatchCalls _calls;
    private readonly TaskCompletionSource<ExpertReply> _reply = new();
    private int _answered;

    public BatchCallsTests()
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].Handle = (_, _) => _reply.Task;
        _routes = new RouteTable(_shards.Board.Current!, [_shards[0]], [new ShardPace(_time)], null, _time);
        _calls = new BatchCalls(Options, _time, () => Interlocked.Increment(ref _answered));
    }

    public void Dispose() => _calls.Dispose();

    private long Now => _time.GetTimestamp();

    [Fact]
    public void A_call_is_late_once_and_keeps_nobody_awake_afterwards()
    {
        DispatchCall call = Send();
        Assert.Equal(BatchCalls.LongestWait, _calls.UntilNext(Now)); // nobody said when it is late
        call.HedgeAt = _calls.LateAt(call);
        Assert.Equal(Options.FirstHedge, _calls.UntilNext(Now));
        Assert.Null(_calls.NextLate(Now));

        _time.Advance(2 * Options.FirstHedge);
        Assert.Equal(TimeSpan.Zero, _calls.UntilNext(Now));
        Assert.Same(call, _calls.NextLate(Now));
        Assert.Null(_calls.NextLate(Now));
        Assert.Equal(BatchCalls.LongestWait, _calls.UntilNext(Now));
        Assert.Equal(1, _calls.UnderWay.Length);
    }

    [Fact]
    public void A_call_that_takes_too_long_is_given_up()
    {
        DispatchCall call = Send();
        _time.Advance(TimeSpan.FromMilliseconds(300));
        Assert.Null(_calls.TakeSilent(Now));
        Assert.Equal(TimeSpan.FromMilliseconds(100), _calls.UntilNext(Now));
        _time.Advance(TimeSpan.FromMilliseconds(100));
        Assert.Same(call, _calls.TakeSilent(Now));
        Assert.Equal(BatchCalls.LongestWait, _calls.UntilNext(Now));
        Assert.Equal(0, _calls.UnderWay.Length);
    }

    [Fact]
    public void A_call_to_a_shard_that_falls_silent_is_given_up_and_no_other()
    {
        DispatchCall call = Send();
        Assert.Null(_calls.TakeSilent(Now));
        _shards[0].IsSilent = true;
        Assert.Same(call, _calls.TakeSilent(Now));
        Assert.Null(_calls.TakeSilent(Now));
    }

    [Fact]
    public async Task An_answered_call_is_taken_once_and_used_again()
    {
        DispatchCall call = Send();
        Assert.Null(_calls.TakeAnswered());
        _reply.SetResult(new ExpertReply { Status = ReplyStatus.Busy, Pairs = 0, HiddenSize = 0 });
        await Eventually.TrueAsync(() => _answered == 1, "word of the answer");
        Assert.Same(call, _calls.TakeAnswered());
        Assert.Null(_calls.TakeAnswered());
        call.TakeReply().Dispose();
        _calls.Reuse(call);

        Assert.Same(call, Send());
        Assert.Equal(2, _answered); // at once, this time
    }

    private DispatchCall Send() =>
        _calls.Send(_routes, 0, [0, 1], new ExpertFrame { Incarnation = 1, Epoch = _routes.Plan.Epoch, Layer = 1, Rows = 1, Pairs = 2, HiddenSize = 1 }, Now);
}
