using K2Cluster.Contracts;
using K2Cluster.Grains;
using K2Cluster.Grains.Shards;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Shards;

public sealed class ShardDepartureTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 2, 4);
    private readonly FakeTimeProvider _time = new();
    private readonly ShardSet _shards = new();
    private readonly ExpertShard _shard;

    public ShardDepartureTests()
    {
        _shard = new ExpertShard(new PlannedShard(new ShardId("m", $"s{Guid.NewGuid():N}", 0), 42, "cpu", "int4-g32"), Grid, new MadeUpDevice(Batches.HiddenSize, capacity: 6), new NoTensors(), TimeProvider.System);
        _shards.Add(_shard);
    }

    public void Dispose() => _shards.Dispose();

    [Fact]
    public async Task It_serves_until_it_holds_nothing_and_has_room_for_nothing_meanwhile()
    {
        await LoadAsync();
        Assert.NotEqual(0, _shard.Report.WeightsBudget);
        int changes = 0;
        _shard.Changed += () => changes++;
        TaskCompletionSource<int?> asked = new();
        int calls = 0;
        Task leaving = Departure(() =>
        {
            // The grain is away, then has not looked yet.
            asked.TrySetResult(null);
            return ++calls == 1 ? Task.FromException<int?>(new TimeoutException("away")) : Task.FromResult<int?>(calls == 2 ? null : 0);
        }).LeaveAsync(CancellationToken.None);
        await asked.Task;
        Assert.Equal((0L, 2, 1), (_shard.Report.WeightsBudget, _shard.Report.Held.Length, changes));
        await Eventually.TrueAsync(() => Ticked(calls > 2), "asked again");
        Assert.False(leaving.IsCompleted);

        _shard.Assign(new ShardAssignment(new Epoch(1, 2), [], [0, 5]));
        await Eventually.TrueAsync(() => Ticked(leaving.IsCompletedSuccessfully), "left");
    }

    [Fact]
    public async Task It_leaves_at_once_where_the_others_have_no_room_and_says_so()
    {
        await LoadAsync();
        await Departure(() => Task.FromResult<int?>(1)).LeaveAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(2, _shard.Report.Held.Length);
    }

    [Fact]
    public async Task It_does_not_ask_where_it_holds_nothing_and_gives_up_when_time_is_up()
    {
        await Departure(() => throw new InvalidOperationException("asked")).LeaveAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(30));

        await LoadAsync();
        using CancellationTokenSource timeIsUp = new();
        Task leaving = Departure(() => Task.FromResult<int?>(0)).LeaveAsync(timeIsUp.Token);
        await timeIsUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    private bool Ticked(bool reached)
    {
        _time.Advance(TimeSpan.FromSeconds(1));
        return reached;
    }

    private async Task LoadAsync()
    {
        _shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 5], []));
        await Eventually.TrueAsync(() => _shard.Report.Loading == 0, "loaded");
    }

    private ShardDeparture Departure(Func<Task<int?>> count) => new(_shards, _ => count(), _time, NullLogger.Instance);
}
