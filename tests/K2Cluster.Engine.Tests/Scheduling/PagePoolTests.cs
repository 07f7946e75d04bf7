using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class PagePoolTests
{
    [Fact]
    public void Each_page_is_given_out_once_until_it_is_returned()
    {
        PagePool pool = new(10);
        List<int> taken = [];
        while (pool.TryTake(out int page))
            taken.Add(page);
        Assert.Equal(Enumerable.Range(0, 10), taken.Order());
        Assert.Equal(0, pool.Free);
        pool.Return(taken[3]);
        Assert.Equal(1, pool.Free);
        Assert.True(pool.IsFree(taken[3]));
        Assert.False(pool.IsFree(taken[4]));
        Assert.True(pool.TryTake(out int again));
        Assert.Equal(taken[3], again);
    }

    [Fact]
    public void A_page_cannot_be_returned_twice()
    {
        PagePool pool = new(2);
        Assert.True(pool.TryTake(out int page));
        pool.Return(page);
        Assert.Throws<InvalidOperationException>(() => pool.Return(page));
    }
}
