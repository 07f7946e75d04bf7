using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class BatchPatienceTests
{
    private static readonly ExpertGrid Grid = new(1, 1, 8);
    private static readonly DispatchOptions Options = new() { Patience = TimeSpan.FromMilliseconds(250), FirstBackoff = TimeSpan.FromMilliseconds(5), LongestBackoff = TimeSpan.FromMilliseconds(12) };
    private readonly FakeTimeProvider _time = new();
    private readonly DispatchPairs _pairs = new();
    private readonly BatchRoutes _routes;
    private readonly BatchPatience _patience;

    public BatchPatienceTests()
    {
        _routes = new BatchRoutes(new ExpertFaults(_time), _time);
        _patience = new BatchPatience(_pairs, _routes, Options, _time);
        _pairs.Begin(2);
        _patience.Begin();
    }

    private long Now => _time.GetTimestamp();

    [Fact]
    public void What_is_missing_is_waited_for_as_long_as_the_batch_is_patient_less_what_others_have_waited()
    {
        MadeUpChannels shards = new(Grid);
        shards.Publish(1, expert => expert == 5 ? [] : [0], incomplete: "one is missing");
        RouteTable table = new(shards.Board.Current!, [shards[0]], [new ShardPace(_time)], null, _time);
        ExpertBatch batch = Batches.Make(1, [[5, 3]]);
        _time.Advance(TimeSpan.FromMilliseconds(100));
        _routes.Use(table, []);
        _pairs.Set(1, PairStatus.Done);

        Assert.Equal(TimeSpan.FromMilliseconds(150), _patience.Wait(batch, Now));
        Assert.True(_pairs.HasOpen);
        _time.Advance(TimeSpan.FromMilliseconds(150));
        _patience.Wait(batch, Now);
        Assert.Equal([PairStatus.NotHeld, PairStatus.Done], _pairs.Statuses.ToArray());
    }

    [Fact]
    public void What_failed_is_asked_again_ever_more_seldom_and_at_once_by_other_routes()
    {
        ExpertBatch batch = Batches.Make(1, [[5, 3]]);
        foreach (double wait in new[] { 5, 10, 12, 12 })
        {
            Assert.False(_patience.TakeRetry(Now));
            _patience.RetryLater(Now);
            _patience.RetryLater(Now); // it is on its way already
            Assert.Equal(TimeSpan.FromMilliseconds(wait), _patience.Wait(batch, Now));
            _time.Advance(TimeSpan.FromMilliseconds(wait));
            Assert.True(_patience.TakeRetry(Now));
        }

        _patience.RetryLater(Now);
        _patience.ForgetRetry();
        Assert.Equal(Options.Patience - TimeSpan.FromMilliseconds(39), _patience.Wait(batch, Now));
    }
}
