using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Logging.Abstractions;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>The one shard of an embedded gateway: who waits for a batch computes it.</summary>
public sealed class ComputeHereTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 2, 8);
    private readonly MadeUpChannels _shards = new(Grid);
    private readonly ExpertDispatcher _dispatcher;

    public ComputeHereTests()
    {
        _shards[0].ComputesHere = true;
        _dispatcher = new ExpertDispatcher(_shards.Board, _shards, new DispatchOptions { Patience = TimeSpan.FromSeconds(10) }, TimeProvider.System, NullLogger<ExpertDispatcher>.Instance);
    }

    public void Dispose() => _dispatcher.Dispose();

    [Fact]
    public void Who_collects_computes_and_nothing_is_sent_or_allocated()
    {
        _shards.Publish(1, _ => [0]);
        Assert.True(_dispatcher.ComputesOnCollect);
        ExpertBatch first = Batches.Random(Grid, 3, 2, 1);
        ExpertBatch second = Batches.Random(Grid, 5, 2, 2);
        int allocating = 0;
        for (int i = 0; i < 100; i++)
        {
            first.Reset(first.Layer, 3);
            second.Reset(second.Layer, 5);
            long before = GC.GetAllocatedBytesForCurrentThread();
            ExpertTicket one = _dispatcher.Submit(first);
            ExpertTicket two = _dispatcher.Submit(second);
            _dispatcher.Collect(two);
            _dispatcher.Collect(one);
            allocating += GC.GetAllocatedBytesForCurrentThread() > before ? 1 : 0;
        }

        Batches.AssertDone(first);
        Batches.AssertDone(second);
        Assert.Empty(_shards[0].Frames);
        Assert.All(_shards[0].Threads, thread => Assert.Equal(Environment.CurrentManagedThreadId, thread));
        Assert.InRange(allocating, 0, 10); // what the runtime makes once, and the list of threads as it grows
    }

    [Fact]
    public void An_expert_that_is_not_there_yet_is_asked_again_and_the_others_are_not()
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].StatusHere = expert => expert == 5 ? PairStatus.NotHeld : PairStatus.Done;
        ExpertBatch batch = Batches.Make(1, [[0, 2], [5, 3]]);
        _dispatcher.Collect(_dispatcher.Submit(batch));

        Batches.AssertDone(batch);
        Assert.Equal((1, 1, 1L), Assert.Single(_shards[0].Frames));
    }

    [Fact]
    public void A_device_that_throws_is_asked_again()
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].StatusHere = _ => throw new InvalidOperationException("out of order");
        ExpertBatch batch = Batches.Random(Grid, 3, 2, 1);
        _dispatcher.Collect(_dispatcher.Submit(batch));

        Batches.AssertDone(batch);
        Assert.Single(_shards[0].Frames);
    }

    [Fact]
    public void A_pair_that_fails_fails_its_row_alone()
    {
        _shards.Publish(1, _ => [0]);
        _shards[0].StatusHere = expert => expert == 5 ? PairStatus.Failed : PairStatus.Done;
        ExpertBatch batch = Batches.Make(1, [[0, 2], [5, 3]]);
        _dispatcher.Collect(_dispatcher.Submit(batch));

        Assert.Equal([RowStatus.Done, RowStatus.Failed], batch.Statuses.ToArray());
        Assert.Equal("made up", batch.Problem);
        Assert.Empty(_shards[0].Frames);
    }

    [Fact]
    public void Of_several_shards_each_computes_on_its_own()
    {
        _shards[1].ComputesHere = true;
        _shards.Publish(2, expert => [expert % 2]);
        Assert.False(_dispatcher.ComputesOnCollect);
        ExpertBatch batch = Batches.Make(1, [[0, 1]]);
        _dispatcher.Collect(_dispatcher.Submit(batch));

        Batches.AssertDone(batch);
        Assert.Single(_shards[0].Frames);
        Assert.Single(_shards[1].Frames);
    }
}
