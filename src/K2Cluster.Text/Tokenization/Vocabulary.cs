using System.Buffers.Binary;

namespace K2Cluster.Text.Tokenization;

/// <summary>
/// The bytes of every rank and the way back. One byte pool and an open-addressing table of (hash, rank) words: 163,584 ranks load
/// without an object or a key array each, and a failed look-up rarely touches the pool.
/// </summary>
internal sealed class Vocabulary
{
    private readonly byte[] _pool;
    private readonly int[] _starts;
    private readonly int[] _lengths;
    private readonly ulong[] _table;

    /// <param name="pool">All tokens' bytes.</param>
    /// <param name="starts">Per rank, where its bytes begin in the pool.</param>
    /// <param name="lengths">Per rank, how many bytes it has; at least one.</param>
    /// <param name="duplicate">A rank whose bytes an earlier rank has too, or -1.</param>
    public Vocabulary(byte[] pool, int[] starts, int[] lengths, out int duplicate)
    {
        _pool = pool;
        _starts = starts;
        _lengths = lengths;
        _table = new ulong[System.Numerics.BitOperations.RoundUpToPowerOf2((uint)Math.Max(16, starts.Length + starts.Length / 2))];
        duplicate = -1;
        for (int rank = 0; rank < starts.Length; rank++)
        {
            LongestToken = Math.Max(LongestToken, lengths[rank]);
            if (!TryAdd(rank) && duplicate < 0)
                duplicate = rank;
        }
    }

    public int Count => _starts.Length;

    /// <summary>Bytes of the longest token.</summary>
    public int LongestToken { get; }

    public ReadOnlySpan<byte> Bytes(int rank) => _pool.AsSpan(_starts[rank], _lengths[rank]);

    /// <summary>The rank of these bytes, or -1.</summary>
    public int Find(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length > LongestToken)
            return -1;

        uint hash = Hash(bytes);
        int mask = _table.Length - 1;
        for (int slot = (int)hash & mask; ; slot = (slot + 1) & mask)
        {
            ulong entry = _table[slot];
            if (entry == 0)
                return -1;
            if ((uint)(entry >> 32) == hash)
            {
                int rank = (int)(uint)entry - 1;
                if (Bytes(rank).SequenceEqual(bytes))
                    return rank;
            }
        }
    }

    private bool TryAdd(int rank)
    {
        ReadOnlySpan<byte> bytes = Bytes(rank);
        uint hash = Hash(bytes);
        int mask = _table.Length - 1;
        int slot = (int)hash & mask;
        for (; _table[slot] != 0; slot = (slot + 1) & mask)
        {
            if ((uint)(_table[slot] >> 32) == hash && Bytes((int)(uint)_table[slot] - 1).SequenceEqual(bytes))
                return false;
        }

        _table[slot] = (ulong)hash << 32 | (uint)(rank + 1);
        return true;
    }

    // Eight bytes a step through a 64×64-bit product folded to 64 bits. The keys are the checkpoint's, so no secret seed is needed.
    private static uint Hash(ReadOnlySpan<byte> bytes)
    {
        ulong hash = Fold((ulong)bytes.Length ^ 0x9E37_79B9_7F4A_7C15UL);
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
            hash = Fold(hash ^ BinaryPrimitives.ReadUInt64LittleEndian(bytes));

        ulong tail = 0;
        for (int index = 0; index < bytes.Length; index++)
            tail |= (ulong)bytes[index] << (8 * index);

        hash = Fold(hash ^ tail);
        return (uint)(hash ^ hash >> 32);
    }

    private static ulong Fold(ulong value)
    {
        ulong high = Math.BigMul(value, 0xD6E8_FEB8_6659_FD93UL, out ulong low);
        return high ^ low;
    }
}
