namespace K2Cluster.Text.Tokenization;

/// <summary>
/// Merges the bytes of a piece as tiktoken does: the adjacent pair of lowest rank first, of equal ones the leftmost. Parts are a
/// linked list over byte positions and candidates a binary heap, so a piece of n bytes costs O(n log n) however it merges.
/// Holds scratch memory, so one user at a time.
/// </summary>
internal sealed class BytePairMerger(Vocabulary vocabulary)
{
    private const int NoRank = int.MaxValue;
    private const int Unlinked = -1;

    // Per part, at the position of its first byte: where the next and the previous part begin, and the rank of it joined with the next.
    private int[] _next = [];
    private int[] _previous = [];
    private int[] _pairRank = [];

    // (rank, position) words: the least is the pair to merge. An entry whose pair has since changed is skipped when it comes up.
    private ulong[] _heap = [];
    private int _heapCount;

    /// <summary>Appends the ids of a piece that is not empty.</summary>
    public void Append(ReadOnlySpan<byte> piece, List<int> ids)
    {
        int whole = vocabulary.Find(piece);
        if (whole >= 0)
        {
            ids.Add(whole);
            return;
        }

        Start(piece);
        while (_heapCount > 0)
        {
            ulong least = PopLeast();
            int position = (int)(uint)least;
            if (_pairRank[position] == (int)(least >> 32))
                Merge(piece, position);
        }

        for (int position = 0; position < piece.Length; position = _next[position])
            ids.Add(vocabulary.Find(piece[position.._next[position]]));
    }

    private void Start(ReadOnlySpan<byte> piece)
    {
        if (_next.Length < piece.Length)
        {
            int capacity = (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(64, piece.Length));
            _next = new int[capacity];
            _previous = new int[capacity];
            _pairRank = new int[capacity];

            // A merge removes a part and adds two candidates at most.
            _heap = new ulong[3 * capacity];
        }

        _heapCount = 0;
        for (int position = 0; position < piece.Length; position++)
        {
            _next[position] = position + 1;
            _previous[position] = position - 1;
        }

        for (int position = 0; position < piece.Length; position++)
            Offer(piece, position);
    }

    private void Merge(ReadOnlySpan<byte> piece, int position)
    {
        int absorbed = _next[position];
        int following = _next[absorbed];
        _pairRank[absorbed] = NoRank;
        _next[position] = following;
        if (following < piece.Length)
            _previous[following] = position;

        Offer(piece, position);
        if (_previous[position] != Unlinked)
            Offer(piece, _previous[position]);
    }

    private void Offer(ReadOnlySpan<byte> piece, int position)
    {
        int middle = _next[position];
        int rank = middle < piece.Length ? vocabulary.Find(piece[position.._next[middle]]) : -1;
        _pairRank[position] = rank < 0 ? NoRank : rank;
        if (rank >= 0)
            Push((ulong)(uint)rank << 32 | (uint)position);
    }

    private void Push(ulong entry)
    {
        int child = _heapCount++;
        while (child > 0)
        {
            int parent = (child - 1) / 2;
            if (_heap[parent] <= entry)
                break;
            _heap[child] = _heap[parent];
            child = parent;
        }

        _heap[child] = entry;
    }

    private ulong PopLeast()
    {
        ulong least = _heap[0];
        ulong moved = _heap[--_heapCount];
        int parent = 0;
        for (int child = 1; child < _heapCount; child = 2 * parent + 1)
        {
            if (child + 1 < _heapCount && _heap[child + 1] < _heap[child])
                child++;
            if (_heap[child] >= moved)
                break;
            _heap[parent] = _heap[child];
            parent = child;
        }

        _heap[parent] = moved;
        return least;
    }
}
