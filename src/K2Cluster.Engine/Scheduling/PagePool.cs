namespace K2Cluster.Engine.Scheduling;

/// <summary>The ids of the KV pages that no sequence holds. What is in a page is the trunk's affair.</summary>
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

    /// <summary>Adds <paramref name="count"/> pages to <paramref name="pages"/>, or none when there are not that many.</summary>
    public bool TryTake(int count, List<int> pages)
    {
        if (count > _free.Count)
            return false;
        for (int i = 0; i < count; i++)
        {
            int page = _free.Pop();
            _taken[page] = true;
            pages.Add(page);
        }

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
