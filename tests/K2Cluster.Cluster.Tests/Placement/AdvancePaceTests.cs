using K2Cluster.Grains.Placement;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Placement;

public class AdvancePaceTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly AdvancePace _pace;
    private int _acts;

    public AdvancePaceTests()
    {
        SynchronizationContext.SetSynchronizationContext(null); // so that what waited goes on as the clock moves
        _pace = new AdvancePace(TimeSpan.FromMilliseconds(20), _time, () => _acts++);
    }

    [Fact]
    public void The_first_is_acted_on_at_once_and_many_in_a_row_together()
    {
        for (int i = 0; i < 100; i++)
            _pace.Soon();
        Assert.Equal(1, _acts);
        Pass(19);
        _pace.Soon();
        Assert.Equal(1, _acts);
        Pass(1);
        Assert.Equal(2, _acts);

        Pass(1000);
        Assert.Equal(2, _acts);
        _pace.Soon();
        Assert.Equal(3, _acts);
    }

    [Fact]
    public void What_is_urgent_is_acted_on_at_once_and_takes_what_waited_with_it()
    {
        _pace.Soon();
        _pace.Soon();
        _pace.Now();
        Assert.Equal(2, _acts);
        Pass(20);
        Assert.Equal(2, _acts);
        _pace.Soon();
        Assert.Equal(3, _acts);
    }

    private void Pass(int milliseconds) => _time.Advance(TimeSpan.FromMilliseconds(milliseconds));
}
