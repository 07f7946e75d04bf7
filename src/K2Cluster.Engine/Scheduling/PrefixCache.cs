using System.Runtime.InteropServices;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Scheduling;

/// <summary>
/// The full KV pages that requests share: a radix tree with 64 tokens to an edge. A page's content follows from its own
/// tokens and the page before it, so it is found by (page before, tokens): by a hash first, then the tokens themselves are
/// compared. A node is known by the id of its page and lives in arrays as long as the KV memory: no operation allocates.
/// </summary>
/// <remarks>
/// Who holds a page holds all before it, and releases the last one first. So in the list of pages that nobody holds, in the
/// order of their release, every page comes after those that follow it in the tree: the first is a leaf, the one that was
/// not used for the longest, and evicting is taking it.
/// </remarks>
internal sealed class PrefixCache
{
    /// <summary>No page: the page before the first one; not found; the end of a list.</summary>
    public const int None = -1;

    private const int NotCached = -1;

    // [page, 64]: 256 bytes a page, where the KV of a page takes 4.5 MB in Kimi K2.
    private readonly int[] _tokens;
    private readonly int[] _before;
    private readonly int[] _holders;
    private readonly int[] _followers;

    // Chains of the hash table.
    private readonly int[] _hashes;
    private readonly int[] _buckets;
    private readonly int[] _next;

    // The list of pages that nobody holds.
    private readonly int[] _older;
    private readonly int[] _newer;
    private int _oldest = None;
    private int _newest = None;

    public PrefixCache(int pageCount)
    {
        _tokens = new int[checked(pageCount * ITrunk.PageTokens)];
        _before = new int[pageCount];
        _holders = new int[pageCount];
        _followers = new int[pageCount];
        _hashes = new int[pageCount];
        _next = new int[pageCount];
        _older = new int[pageCount];
        _newer = new int[pageCount];
        _buckets = new int[pageCount];
        _holders.AsSpan().Fill(NotCached);
        _buckets.AsSpan().Fill(None);
    }

    /// <summary>Pages in the tree.</summary>
    public int Count { get; private set; }

    /// <summary>Those that no sequence holds: all of them can be evicted.</summary>
    public int Unheld { get; private set; }

    public bool Contains(int page) => _holders[page] != NotCached;

    /// <summary>Sequences that hold a cached page.</summary>
    public int Holders(int page) => _holders[page];

    /// <summary>The page with these tokens behind the page <paramref name="before"/>; <see cref="None"/> when there is none.</summary>
    public int Find(int before, ReadOnlySpan<int> tokens)
    {
        int hash = Hash(before, tokens);
        for (int page = _buckets[Bucket(hash)]; page != None; page = _next[page])
        {
            if (_hashes[page] == hash && _before[page] == before && Tokens(page).SequenceEqual(tokens))
                return page;
        }

        return None;
    }

    /// <summary>Adds a page that is not there yet, held once.</summary>
    public void Add(int page, int before, ReadOnlySpan<int> tokens)
    {
        if (Contains(page))
            throw new InvalidOperationException($"KV page {page} was cached twice.");
        tokens.CopyTo(Tokens(page));
        _before[page] = before;
        _holders[page] = 1;
        _followers[page] = 0;
        if (before != None)
            _followers[before]++;
        int hash = Hash(before, tokens);
        ref int bucket = ref _buckets[Bucket(hash)];
        _hashes[page] = hash;
        _next[page] = bucket;
        bucket = page;
        Count++;
    }

    public void Hold(int page)
    {
        if (_holders[page]++ == 0)
            Unlist(page);
    }

    public void Release(int page)
    {
        if (_holders[page] <= 0)
            throw new InvalidOperationException($"KV page {page} was released more often than held.");
        if (--_holders[page] == 0)
            List(page);
    }

    /// <summary>Takes the page that was not used for the longest out of the tree. False when every page is held.</summary>
    public bool TryEvict(out int page)
    {
        page = _oldest;
        if (page == None)
            return false;
        if (_followers[page] != 0)
            throw new InvalidOperationException($"KV page {page} is to be evicted and {_followers[page]} pages follow it.");
        Unlist(page);
        ref int link = ref _buckets[Bucket(_hashes[page])];
        while (link != page)
            link = ref _next[link];
        link = _next[page];
        if (_before[page] != None)
            _followers[_before[page]]--;
        _holders[page] = NotCached;
        Count--;
        return true;
    }

    /// <summary>A hash that differs from process to process: nobody can prepare prompts that all fall into one chain.</summary>
    public static int Hash(int before, ReadOnlySpan<int> tokens)
    {
        HashCode hash = default;
        hash.Add(before);
        hash.AddBytes(MemoryMarshal.AsBytes(tokens));
        return hash.ToHashCode();
    }

    /// <summary>Checks the tree against itself.</summary>
    /// <exception cref="InvalidOperationException">Says what is wrong.</exception>
    public void CheckIntegrity()
    {
        int count = 0;
        int unheld = 0;
        int[] followers = new int[_holders.Length];
        for (int page = 0; page < _holders.Length; page++)
        {
            if (!Contains(page))
                continue;
            count++;
            unheld += _holders[page] == 0 ? 1 : 0;
            int before = _before[page];
            Require(Find(before, Tokens(page)) == page, page, "is not found by its tokens");
            if (before == None)
                continue;
            Require(Contains(before), page, "follows a page that is not cached");
            Require(_holders[before] >= _holders[page], page, "is held by more than hold the page before it");
            followers[before]++;
        }

        bool[] listed = new bool[_holders.Length];
        for (int page = _oldest; page != None; page = _newer[page])
        {
            Require(_holders[page] == 0 && !listed[page], page, "is listed as unheld and is not, or is listed twice");
            Require(_before[page] == None || !listed[_before[page]], page, "would be evicted after the page before it");
            listed[page] = true;
            unheld--;
        }

        for (int page = 0; page < _holders.Length; page++)
            Require(!Contains(page) || _followers[page] == followers[page], page, "counts its followers wrongly");
        Require(unheld == 0, _oldest, "heads a list of unheld pages that lacks some");
        Require(count == Count && listed.AsSpan().Count(true) == Unheld, Count, "is the count of cached pages, or theirs of unheld ones, and wrong");

        static void Require(bool holds, int page, string what)
        {
            if (!holds)
                throw new InvalidOperationException($"KV page {page} {what}.");
        }
    }

    private Span<int> Tokens(int page) => _tokens.AsSpan(page * ITrunk.PageTokens, ITrunk.PageTokens);

    private int Bucket(int hash) => (int)((uint)hash % (uint)_buckets.Length);

    private void List(int page)
    {
        _older[page] = _newest;
        _newer[page] = None;
        if (_newest == None)
            _oldest = page;
        else
            _newer[_newest] = page;
        _newest = page;
        Unheld++;
    }

    private void Unlist(int page)
    {
        if (_older[page] == None)
            _oldest = _newer[page];
        else
            _newer[_older[page]] = _newer[page];
        if (_newer[page] == None)
            _newest = _older[page];
        else
            _older[_newer[page]] = _older[page];
        Unheld--;
    }
}
