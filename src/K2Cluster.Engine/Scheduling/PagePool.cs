namespace K2Cluster.Engine.Scheduling;

/// <summary>The ids of the KV pages that nobody holds, neither a sequence nor the cache. What is in a page is the trunk's affair.</summary>
internal sealed class PagePool
{
    private readonly Stack<int> _free;
    private readonly bool[] _taken;

    public PagePool(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        Count = count;
        _taken = new bool[count];
        _free = new Stack<int>(count);
        for (int page = count - 1; page >= 0; page--)
            _free.Push(page);
    }

    public int Count { get; }

    public int Free => _free.Count;

    public bool IsFree(int page) => !_taken[page];

    /// <summary>False when there is none.</summary>
    public bool TryTake(out int page)
    {
        if (!_free.TryPop(out page))
            return false;
        _taken[page] = true;
        return true;
    }

    /// <exception cref="InvalidOperationException">The page is free already: two sequences would get it.</exception>
    public void Return(int page)
    {
        if (!_taken[page])
            throw new InvalidOperationException($"KV page {page} was returned twice.");
        _taken[page] = false;
        _free.Push(page);
    }
}
