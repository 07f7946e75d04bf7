using K2Cluster.Trunk;

namespace K2Cluster.Engine.Scheduling;

/// <summary>
/// Gives sequences their KV pages, one by one as they need them: free ones, else the least recently used of the cache. A page
/// that is full goes into the cache, where others find it; it is never written again. With <c>share</c> off nothing is cached.
/// </summary>
internal sealed class KvPages(int count, bool share = true)
{
    private readonly PagePool _pool = new(count);
    private readonly PrefixCache _cache = new(share ? count : 1);
    private readonly HashSet<long> _claims = [];
    private readonly List<int> _freed = [];
    private readonly bool[] _isFreed = new bool[count];

    public int Count => count;

    /// <summary>Pages with nothing in them.</summary>
    public int Free => _pool.Free;

    /// <summary>Pages that no sequence holds and that keep what they had.</summary>
    public int Cached => _cache.Unheld;

    /// <summary>Pages to be had without taking any from a sequence.</summary>
    public int Available => _pool.Free + _cache.Unheld;

    /// <summary>A new step: no page is being computed.</summary>
    public void BeginStep() => _claims.Clear();

    /// <summary>
    /// Gives the sequence the pages that the cache has of it, up to its last token but one: the last is computed in any case,
    /// for its logits. False when another sequence of this step computes its next page: it had better wait for that.
    /// </summary>
    public bool Reuse(Sequence sequence)
    {
        while (share && sequence.Computed % ITrunk.PageTokens == 0 && sequence.Computed + ITrunk.PageTokens < sequence.Tokens.Length)
        {
            ReadOnlySpan<int> tokens = sequence.Tokens.Slice(sequence.Computed, ITrunk.PageTokens);
            int before = Before(sequence, sequence.SharedPages);
            int page = _cache.Find(before, tokens);
            if (page == PrefixCache.None)
                return !_claims.Contains(Key(before, tokens));
            _cache.Hold(page);
            DropOwn(sequence);
            sequence.Pages.Add(page);
            sequence.SharedPages++;
            sequence.Computed += ITrunk.PageTokens;
        }

        return true;
    }

    /// <summary>
    /// Says that the sequence computes its next page in this step. The claim ends with the step, whatever comes of it, so that
    /// nobody waits for one that was cancelled, failed or lost its pages.
    /// </summary>
    public void Claim(Sequence sequence)
    {
        int start = sequence.SharedPages * ITrunk.PageTokens;
        if (share && start + ITrunk.PageTokens <= sequence.Tokens.Length)
            _claims.Add(Key(Before(sequence, sequence.SharedPages), sequence.Tokens.Slice(start, ITrunk.PageTokens)));
    }

    /// <summary>Gives the sequence pages for <paramref name="tokens"/> tokens. False when they did not suffice; it keeps those that it got.</summary>
    public bool TryGrow(Sequence sequence, int tokens)
    {
        int target = Sequence.PagesFor(tokens);
        while (sequence.Pages.Count < target)
        {
            if (!_pool.TryTake(out int page) && !_cache.TryEvict(out page))
                return false;
            sequence.Pages.Add(page);
        }

        return true;
    }

    /// <summary>
    /// Caches the pages that a step filled. Where another sequence was first with the same tokens, its page replaces this one:
    /// the bits in both are the same.
    /// </summary>
    public void Share(Sequence sequence)
    {
        while (share && (sequence.SharedPages + 1) * ITrunk.PageTokens <= sequence.Computed)
        {
            int index = sequence.SharedPages++;
            int own = sequence.Pages[index];
            int before = Before(sequence, index);
            ReadOnlySpan<int> tokens = sequence.Tokens.Slice(index * ITrunk.PageTokens, ITrunk.PageTokens);
            int page = _cache.Find(before, tokens);
            if (page == PrefixCache.None)
            {
                _cache.Add(own, before, tokens);
                continue;
            }

            _cache.Hold(page);
            sequence.Pages[index] = page;
            Return(own);
        }
    }

    /// <summary>Takes all pages from the sequence: what it shares stays in the cache, the last page first to go.</summary>
    public void Release(Sequence sequence)
    {
        DropOwn(sequence);
        for (int i = sequence.Pages.Count - 1; i >= 0; i--)
            _cache.Release(sequence.Pages[i]);
        sequence.Pages.Clear();
        sequence.SharedPages = 0;
        sequence.Computed = 0;
    }

    /// <summary>Moves the pages that were given back and not given out again to <paramref name="freed"/>.</summary>
    public void TakeFreed(List<int> freed)
    {
        foreach (int page in _freed)
        {
            _isFreed[page] = false;
            if (_pool.IsFree(page))
                freed.Add(page);
        }

        _freed.Clear();
    }

    /// <summary>Checks that every page is free, cached, or owned by one of <paramref name="sequences"/>, which are all that have any.</summary>
    /// <exception cref="InvalidOperationException">Says what is wrong.</exception>
    public void CheckIntegrity(IEnumerable<Sequence> sequences)
    {
        int[] holders = new int[count];
        bool[] owned = new bool[count];
        foreach (Sequence sequence in sequences)
        {
            Require(!share || sequence.SharedPages == sequence.Computed / ITrunk.PageTokens, $"Request '{sequence.Request.Id}' shares {sequence.SharedPages} pages and has computed {sequence.Computed} tokens.");
            for (int i = 0; i < sequence.Pages.Count; i++)
            {
                int page = sequence.Pages[i];
                if (i >= sequence.SharedPages)
                {
                    Require(!owned[page], $"KV page {page} has two owners.");
                    owned[page] = true;
                    continue;
                }

                holders[page]++;
                Require(_cache.Find(Before(sequence, i), sequence.Tokens.Slice(i * ITrunk.PageTokens, ITrunk.PageTokens)) == page, $"KV page {page} is page {i} of request '{sequence.Request.Id}' and does not have its tokens.");
            }
        }

        _cache.CheckIntegrity();
        for (int page = 0; page < count; page++)
        {
            bool cached = share && _cache.Contains(page);
            int states = (_pool.IsFree(page) ? 1 : 0) + (cached ? 1 : 0) + (owned[page] ? 1 : 0);
            Require(states == 1, $"KV page {page} must be free, cached or owned; it is {states} of these.");
            Require(!cached || _cache.Holders(page) == holders[page], $"KV page {page} has {holders[page]} holders and counts {(cached ? _cache.Holders(page) : 0)}.");
        }

        static void Require(bool holds, string problem)
        {
            if (!holds)
                throw new InvalidOperationException(problem);
        }
    }

    private static int Before(Sequence sequence, int index) => index == 0 ? PrefixCache.None : sequence.Pages[index - 1];

    // The hash alone will do: where two collide, one waits for a step in vain.
    private static long Key(int before, ReadOnlySpan<int> tokens) => ((long)before << 32) | (uint)PrefixCache.Hash(before, tokens);

    private void DropOwn(Sequence sequence)
    {
        for (int i = sequence.Pages.Count - 1; i >= sequence.SharedPages; i--)
            Return(sequence.Pages[i]);
        sequence.Pages.RemoveRange(sequence.SharedPages, sequence.Pages.Count - sequence.SharedPages);
    }

    private void Return(int page)
    {
        _pool.Return(page);
        // Once, though it may have been given out and back since.
        if (!_isFreed[page])
            _freed.Add(page);
        _isFreed[page] = true;
    }
}
