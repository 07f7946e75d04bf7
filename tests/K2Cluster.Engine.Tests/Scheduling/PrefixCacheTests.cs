using K2Cluster.Engine.Scheduling;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class PrefixCacheTests
{
    private readonly PrefixCache _cache = new(16);

    [Fact]
    public void A_page_is_found_by_its_tokens_and_the_page_before_it()
    {
        _cache.Add(3, PrefixCache.None, Tokens(1));
        _cache.Add(5, 3, Tokens(1));
        Assert.Equal(3, _cache.Find(PrefixCache.None, Tokens(1)));
        Assert.Equal(5, _cache.Find(3, Tokens(1)));
        Assert.Equal(PrefixCache.None, _cache.Find(5, Tokens(1)));
        Assert.Equal(PrefixCache.None, _cache.Find(PrefixCache.None, Tokens(2)));
        _cache.CheckIntegrity();
    }

    [Fact]
    public void One_other_token_anywhere_is_another_page()
    {
        _cache.Add(0, PrefixCache.None, Tokens(1));
        for (int i = 0; i < ITrunk.PageTokens; i++)
        {
            int[] tokens = Tokens(1);
            tokens[i]++;
            Assert.Equal(PrefixCache.None, _cache.Find(PrefixCache.None, tokens));
        }
    }

    [Fact]
    public void Pages_are_evicted_from_the_leaves_and_the_least_recently_used_first_and_never_while_held()
    {
        // 0 - 1 - 2 and 0 - 3; 4 alone, held.
        _cache.Add(0, PrefixCache.None, Tokens(0));
        _cache.Add(1, 0, Tokens(1));
        _cache.Add(2, 1, Tokens(2));
        Release(2, 1, 0);
        _cache.Hold(0);
        _cache.Add(3, 0, Tokens(3));
        _cache.Add(4, PrefixCache.None, Tokens(4));
        Assert.Equal((5, 2), (_cache.Count, _cache.Unheld));
        Release(3, 0);
        _cache.CheckIntegrity();

        Assert.Equal([2, 1, 3, 0], Evict());

        Assert.True(_cache.Contains(4));
        Assert.Equal((1, 0), (_cache.Count, _cache.Unheld));
        _cache.CheckIntegrity();
    }

    [Fact]
    public void Use_makes_a_page_the_last_to_go()
    {
        for (int page = 0; page < 3; page++)
        {
            _cache.Add(page, PrefixCache.None, Tokens(page));
            _cache.Release(page);
        }

        _cache.Hold(0);
        _cache.Release(0);
        Assert.Equal([1, 2, 0], Evict());
        Assert.Equal(PrefixCache.None, _cache.Find(PrefixCache.None, Tokens(0)));
    }

    [Fact]
    public void A_page_cannot_be_cached_twice_or_released_more_often_than_held()
    {
        _cache.Add(1, PrefixCache.None, Tokens(1));
        Assert.Throws<InvalidOperationException>(() => _cache.Add(1, PrefixCache.None, Tokens(2)));
        _cache.Release(1);
        Assert.Throws<InvalidOperationException>(() => _cache.Release(1));
        Assert.Throws<InvalidOperationException>(() => _cache.Release(2));
    }

    private static int[] Tokens(int mark) => [.. Enumerable.Range(0, ITrunk.PageTokens).Select(i => (mark * 1000) + i)];

    private void Release(params int[] pages)
    {
        foreach (int page in pages)
            _cache.Release(page);
    }

    private List<int> Evict()
    {
        List<int> evicted = [];
        while (_cache.TryEvict(out int page))
        {
            evicted.Add(page);
            _cache.CheckIntegrity();
        }

        return evicted;
    }
}
