using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class PagePoolTests
{
    [Fact]
    public void Pages_are_given_out_once_and_all_or_none()
    {
        PagePool pool = new(10);
        List<int> first = [];
        Assert.True(pool.TryTake(6, first));
        List<int> second = [];
        Assert.False(pool.TryTake(5, second));
        Assert.Empty(second);
        Assert.True(pool.TryTake(4, second));
        Assert.Equal(Enumerable.Range(0, 10), first.Concat(second).Order());
        Assert.Equal(0, pool.Free);
        foreach (int page in first)
            pool.Return(page);
        Assert.Equal(6, pool.Free);
        Assert.True(pool.IsFree(first[0]));
        Assert.False(pool.IsFree(second[0]));
    }

    [Fact]
    public void A_page_cannot_be_returned_twice()
    {
        PagePool pool = new(2);
        List<int> pages = [];
        Assert.True(pool.TryTake(1, pages));
        pool.Return(pages[0]);
        Assert.Throws<InvalidOperationException>(() => pool.Return(pages[0]));
    }
}
