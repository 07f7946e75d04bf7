using K2Cluster.Contracts;
using K2Cluster.Grains.Shards;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Shards;

/// <summary>What a shard does about experts that give no finite numbers.</summary>
public sealed class ExpertReloadsTests : IDisposable
{
    private static readonly ExpertGrid Grid = new(1, 2, 4);
    private readonly FakeTimeProvider _time = new();
    private readonly MadeUpDevice _device = new(Batches.HiddenSize, capacity: 6);
    private readonly ExpertShard _shard;
    private int _loads;

    public ExpertReloadsTests()
    {
        _device.BeforeLoad = _ => Interlocked.Increment(ref _loads);
        _shard = new ExpertShard(new PlannedShard(new ShardId("m", "s", 0), 42, "cpu", "int4-g32"), Grid, _device, new NoTensors(), _time);
    }

    public void Dispose() => _shard.Dispose();

    [Fact]
    public async Task A_suspect_is_loaded_anew_once_a_minute_at_most()
    {
        await LoadAsync();
        _shard.Suspect(1, isSure: false);
        _shard.Suspect(1, isSure: true);
        _shard.Suspect(99, isSure: true); // whatever a peer says
        await LoadedAsync(4);
        Pass(59);
        _shard.Suspect(1, isSure: true);
        Assert.Equal([0, 1, 5], _shard.Report.Held.ToArray());
        Pass(1);
        _shard.Suspect(1, isSure: true);
        await LoadedAsync(5);
        _shard.Suspect(5, isSure: true); // another one has its own minute
        await LoadedAsync(6);
        Assert.Null(_shard.Report.Problem);
    }

    [Fact]
    public async Task One_that_goes_on_after_three_times_is_given_up_and_the_shard_has_room_for_nothing_more()
    {
        await LoadAsync();
        for (int i = 1; i <= ExpertReloads.Most; i++)
        {
            _shard.Suspect(5, isSure: true);
            await LoadedAsync(3 + i);
            Pass(60);
        }

        Assert.Null(_shard.Report.Problem);
        _shard.Suspect(5, isSure: true);
        await Eventually.TrueAsync(() => !_device.Holds(new ExpertKey(2, 1)), "dropped");
        ShardReport report = _shard.Assign(new ShardAssignment(new Epoch(1, 2), [0, 1, 5], []));
        Assert.Equal([0, 1], report.Held.ToArray()); // served until the others have them
        Assert.Equal((0L, 0), (report.WeightsBudget, report.Loading));
        Assert.StartsWith("Expert 1 of layer 2 gave no finite numbers on made up again after it was loaded anew 3 times", report.Problem);
    }

    [Fact]
    public async Task What_may_be_the_input_s_fault_or_was_an_hour_ago_gives_nothing_up()
    {
        await LoadAsync();
        for (int i = 1; i <= 2 * ExpertReloads.Most; i++)
        {
            _shard.Suspect(5, isSure: false);
            await LoadedAsync(3 + (2 * i) - 1);
            Pass(3600);
            _shard.Suspect(5, isSure: true);
            await LoadedAsync(3 + (2 * i));
            Pass(3600);
        }

        Assert.Null(_shard.Report.Problem);
    }

    private async Task LoadAsync()
    {
        _shard.Assign(new ShardAssignment(new Epoch(1, 1), [0, 1, 5], []));
        await LoadedAsync(3);
    }

    private Task LoadedAsync(int loads) =>
        Eventually.TrueAsync(() => Volatile.Read(ref _loads) == loads && _shard.Report is { Held.Length: 3, Loading: 0 }, $"{loads} loads");

    private void Pass(int seconds) => _time.Advance(TimeSpan.FromSeconds(seconds));
}
