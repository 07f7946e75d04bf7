using K2Cluster.Cluster.Dispatch;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class LateCallsTests
{
    private readonly FakeTimeProvider _time = new();

    [Fact]
    public void The_first_is_told_and_then_once_a_minute_what_has_come_since()
    {
        LateCalls late = new(_time);
        Assert.True(late.Add(TimeSpan.FromMilliseconds(21), out LateCalls.Summary summary));
        Assert.Equal((1, 60.0), (summary.Count, summary.Past.TotalSeconds));

        foreach (int milliseconds in new[] { 30, 90, 20 })
        {
            _time.Advance(TimeSpan.FromSeconds(19));
            Assert.False(late.Add(TimeSpan.FromMilliseconds(milliseconds), out _));
        }

        _time.Advance(TimeSpan.FromSeconds(5));
        Assert.True(late.Add(TimeSpan.FromMilliseconds(40), out summary));
        Assert.Equal(new LateCalls.Summary(4, TimeSpan.FromSeconds(62), TimeSpan.FromMilliseconds(20), TimeSpan.FromMilliseconds(90)), summary);
    }

    [Fact]
    public void Counting_allocates_nothing()
    {
        LateCalls late = new(TimeProvider.System);
        late.Add(TimeSpan.Zero, out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            late.Add(TimeSpan.FromMilliseconds(i), out _);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }
}
