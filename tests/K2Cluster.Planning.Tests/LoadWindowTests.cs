using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Planning.Tests;

public class LoadWindowTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly LoadWindow _window;

    public LoadWindowTests() => _window = new LoadWindow(_time, TimeSpan.FromMinutes(1), experts: 2);

    [Fact]
    public void Rows_count_half_after_a_half_life()
    {
        Count("a", 0, 0);
        Count("a", 1000, 0);
        _time.Advance(TimeSpan.FromMinutes(1));
        Count("a", 1000, 200);

        Assert.Equal([504, 204], _window.Rows()!.Select(rows => Math.Round(rows))); // 4 each for what was not seen
    }

    [Fact]
    public void A_report_that_comes_twice_late_or_not_at_all_changes_nothing()
    {
        Count("a", 0, 0);
        Count("a", 100, 10);
        Count("a", 100, 10);
        Count("a", 40, 9);
        Count("a", 300, 30);
        Count("b", 0, 0);
        Count("b", 100, 10);

        Assert.Equal([404, 44], _window.Rows()!);
    }

    [Fact]
    public void The_first_counters_of_a_life_are_where_counting_starts()
    {
        Count("a", 5000, 6000);
        Count("a", 5010, 6020);
        _window.Observe("a", 2, [0, 1], [7000, 7000]);
        _window.Observe("a", 2, [0], [7001]);
        _window.Forget("a");
        Count("a", 1, 1);

        Assert.Equal([15, 24], _window.Rows()!);
    }

    [Fact]
    public void Counters_may_go_round()
    {
        Count("a", uint.MaxValue - 9, 0);
        Count("a", 10, 0);
        Assert.Equal([24, 4], _window.Rows()!);
    }

    [Fact]
    public void Few_rows_are_chance()
    {
        Assert.Null(_window.Rows());
        Count("a", 0, 0);
        Count("a", 7, 0);
        Assert.Null(_window.Rows());
        Count("a", 8, 0);
        Assert.Equal([12, 4], _window.Rows()!);

        // And when none come any more, the last that were enough hold.
        _time.Advance(TimeSpan.FromHours(1));
        Assert.Equal([12, 4], _window.Rows()!);
    }

    private void Count(string device, uint first, uint second) => _window.Observe(device, 1, [0, 1], [first, second]);
}
