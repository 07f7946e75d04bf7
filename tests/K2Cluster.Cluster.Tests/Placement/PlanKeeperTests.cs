using System.Text;
using K2Cluster.Cluster.Plans.Stores;
using K2Cluster.Grains.Placement;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Placement;

public sealed class PlanKeeperTests : IDisposable
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly MemoryPlanStore _store = new();
    private readonly LogLines _log = new();
    private readonly LoggerFactory _logs;

    public PlanKeeperTests() => _logs = new LoggerFactory([_log]);

    [Fact]
    public async Task What_one_leaves_the_next_starts_above_and_finds()
    {
        PlacementWishes wishes = new() { Drained = ["old"], Pinned = [new PinnedExpert(3, 7, ["m/a/0", "m/b/0"])] };
        PlanKeeper first = Keeper(_store);
        await first.AdvanceAsync(1000);
        Assert.Equal(0, first.Stored);
        first.SetWishes(wishes);
        await first.AdvanceAsync(1000);
        await first.AdvanceAsync(1005);

        PlanKeeper next = Keeper(_store);
        await next.AdvanceAsync(10); // of a host whose clock is behind

        Assert.Equal(1005, next.Stored);
        Assert.Equal<string>(wishes.Drained, next.Wishes.Drained);
        PinnedExpert pinned = Assert.Single(next.Wishes.Pinned);
        Assert.Equal((3, 7, "m/a/0 m/b/0"), (pinned.Layer, pinned.Expert, string.Join(' ', pinned.Shards)));

        // And says at once that it is above, in case that it ends before it is asked again.
        PlanKeeper last = Keeper(_store);
        await last.AdvanceAsync(10);
        Assert.Equal(1006, last.Stored);
    }

    [Fact]
    public async Task A_store_that_fails_or_hangs_is_logged_once_and_tried_again()
    {
        FailingStore store = new(_store) { Fails = true };
        PlanKeeper keeper = Keeper(store);
        await keeper.AdvanceAsync(1000);
        await keeper.AdvanceAsync(1000);
        Assert.Equal(1, store.Calls);
        Assert.Throws<InvalidOperationException>(() => keeper.SetWishes(PlacementWishes.None));
        _time.Advance(PlanKeeper.Patience);
        await keeper.AdvanceAsync(1000);
        Assert.Equal(2, store.Calls);

        (store.Fails, store.Hangs) = (false, true);
        _time.Advance(PlanKeeper.Patience);
        Task hanging = keeper.AdvanceAsync(1000);
        Assert.Same(hanging, keeper.AdvanceAsync(1000));
        _time.Advance(PlanKeeper.Patience);
        await hanging.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Single(_log.Lines);

        store.Hangs = false;
        _time.Advance(PlanKeeper.Patience);
        await keeper.AdvanceAsync(1000);
        Assert.True(keeper.IsRead);
        Assert.Contains("works again", _log.Lines.Last());
        PlanKeeper next = Keeper(_store);
        await next.AdvanceAsync(1);
        Assert.Equal(1000, next.Stored);
    }

    [Fact]
    public async Task Nothing_is_written_twice()
    {
        FailingStore store = new(_store);
        PlanKeeper keeper = Keeper(store);
        for (int i = 0; i < 5; i++)
            await keeper.AdvanceAsync(1000);

        Assert.Equal(2, store.Calls); // one read, one write
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{")]
    [InlineData("\0\0\0\0")]
    [InlineData("""{"generation": 5""")]
    [InlineData("""{"format": 1, "wishes": {}}""")]
    [InlineData("""{"format": 1, "generation": 5}""")]
    [InlineData("""{"format": 2, "generation": 5, "wishes": {}}""")]
    [InlineData("""{"format": 1, "generation": -5, "wishes": {}}""")]
    [InlineData("""{"format": 1, "generation": 9000000000000000000, "wishes": {}}""")]
    [InlineData("""{"format": 1, "generation": 5, "wishes": null}""")]
    [InlineData("""{"format": 1, "generation": 5, "wishes": {"drained": null}}""")]
    [InlineData("""{"format": 1, "generation": 5, "wishes": {"drained": [null]}}""")]
    [InlineData("""{"format": 1, "generation": 5, "wishes": {"pinned": [null]}}""")]
    [InlineData("""{"format": 1, "generation": 5, "wishes": {"pinned": [{"layer": 1, "expert": 2}]}}""")]
    public async Task A_record_that_is_none_is_set_aside_with_a_line_in_the_log(string record)
    {
        await _store.WriteAsync(Encoding.UTF8.GetBytes(record), CancellationToken.None);

        PlanKeeper keeper = Keeper(_store);
        await keeper.AdvanceAsync(1000);

        Assert.Contains("cannot be used", Assert.Single(_log.Lines));
        Assert.True(keeper.IsRead);
        PlanKeeper next = Keeper(_store);
        await next.AdvanceAsync(1);
        Assert.Equal(1000, next.Stored);
    }

    [Fact]
    public async Task A_record_and_wishes_larger_than_the_limit_are_refused()
    {
        await _store.WriteAsync(new byte[IPlanStore.MostBytes + 1], CancellationToken.None);
        PlanKeeper keeper = Keeper(_store);
        await keeper.AdvanceAsync(1000);
        Assert.Contains("more than 1048576 bytes", Assert.Single(_log.Lines));

        ArgumentException error = Assert.Throws<ArgumentException>(() => keeper.SetWishes(new PlacementWishes { Drained = [new string('a', IPlanStore.MostBytes)] }));
        Assert.Contains("at most 1048576", error.Message);
        Assert.Empty(keeper.Wishes.Drained);
    }

    [Fact]
    public async Task Wishes_of_a_later_version_are_kept()
    {
        await _store.WriteAsync("""{"format": 1, "generation": 5, "wishes": {"drained": ["a"], "colour": "blue"}}"""u8.ToArray(), CancellationToken.None);
        PlanKeeper keeper = Keeper(_store);
        await keeper.AdvanceAsync(1000);
        keeper.SetWishes(keeper.Wishes with { Drained = [] });
        await keeper.AdvanceAsync(1000);

        string record = Encoding.UTF8.GetString((await _store.ReadAsync(CancellationToken.None))!);
        Assert.Contains("\"colour\": \"blue\"", record);
        Assert.DoesNotContain("\"a\"", record);
    }

    public void Dispose() => _logs.Dispose();

    private PlanKeeper Keeper(IPlanStore store) => new(store, _time, _logs.CreateLogger<PlanKeeper>());

    private sealed class FailingStore(IPlanStore store) : IPlanStore
    {
        public bool Fails { get; set; }

        public bool Hangs { get; set; }

        public int Calls { get; private set; }

        public async Task<byte[]?> ReadAsync(CancellationToken cancellationToken)
        {
            await CallAsync(cancellationToken);
            return await store.ReadAsync(cancellationToken);
        }

        public async Task WriteAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken)
        {
            await CallAsync(cancellationToken);
            await store.WriteAsync(record, cancellationToken);
        }

        public Task<string> SetAsideAsync(CancellationToken cancellationToken) => store.SetAsideAsync(cancellationToken);

        private Task CallAsync(CancellationToken cancellationToken)
        {
            Calls++;
            return Fails ? Task.FromException(new IOException("The disk is full.")) : Hangs ? Task.Delay(Timeout.Infinite, cancellationToken) : Task.CompletedTask;
        }
    }
}
