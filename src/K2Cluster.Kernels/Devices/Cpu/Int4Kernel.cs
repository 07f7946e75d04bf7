using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// Products of INT4 weights with INT16 activations. Weights lie in blocks of 16 rows; a block is one record of 288 bytes for
/// each group of 32 columns: 16 BF16 scales, then 4 × 16 words, word j of a row being the checkpoint's int32 of its columns
/// 8j..8j+7, lowest nibble first, each stored plus 8. One stream, no sum across lanes.
/// </summary>
/// <remarks>
/// A group's product is an exact integer below 2^24; then acc = fma(product, weight scale × activation scale, acc) over the
/// groups in order, from zero.
/// Versions, in clocks of one Zen 5 core for a group of one row, from the L1 cache (AVX-512; AVX2): 1 row at a time 19 (36), now 15
/// (31); tiles of 2, 4, 8 rows 16 (27), 13 (23), 11-12 (22). Tried and left: vpdpwssd, which .NET 10 has for 256 bits only: at 1.9 a
/// clock it does no more than vpmaddwd and vpaddd on 512 bits.
/// </remarks>
internal readonly unsafe struct Int4Kernel : IInt4Kernel
{
    public const int BlockRows = 16;
    public const int RecordBytes = ScaleBytes + 4 * WordVectorBytes;

    public const int ScaleBytes = BlockRows * sizeof(ushort);
    private const int WordVectorBytes = BlockRows * sizeof(uint);
    private const int GroupWords = QuantizedRows.GroupSize / 2;

    /// <summary>How far ahead of the stream to prefetch. Four rows of 8 experts, one core, µs: none 1807, 1 KiB 1509, 4 KiB 1351, 8 KiB 1384, 16 KiB 1470.</summary>
    private const int PrefetchBytes = 4 * 1024;

    /// <summary>Repacks one block of 16 rows from the checkpoint's layout.</summary>
    /// <param name="packed">[16, 4 × groups] words.</param>
    /// <param name="scales">[16, groups] BF16.</param>
    /// <param name="groups">Columns / 32.</param>
    /// <param name="block">groups × 288 bytes.</param>
    public static void Pack(ReadOnlySpan<uint> packed, ReadOnlySpan<ushort> scales, int groups, byte* block)
    {
        for (int group = 0; group < groups; group++, block += RecordBytes)
        {
            ushort* scale = (ushort*)block;
            uint* words = (uint*)(block + ScaleBytes);
            for (int row = 0; row < BlockRows; row++)
            {
                scale[row] = scales[row * groups + group];
                for (int j = 0; j < 4; j++)
                    words[j * BlockRows + row] = packed[(row * groups + group) * 4 + j];
            }
        }
    }

    /// <summary>output[lane] of one block and one activation row.</summary>
    /// <remarks>
    /// Nibbles are masked where they stand, so that most need no shift: their sums are 16 and 256 times too large, which int32
    /// still bears (8 × 2 × 15 × 256 × 32767 &lt; 2^31), and are shifted back once a group, exactly.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot1<TLanes>(byte* block, int groups, int* x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        float* scales = (float*)(x + groups * GroupWords);
        int* corrections = (int*)(scales + groups);
        TLanes mask0 = TLanes.BroadcastWord(0x000F_000F), mask1 = TLanes.BroadcastWord(0x00F0_00F0), mask2 = TLanes.BroadcastWord(0x0F00_0F00);
        TLanes sum = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += RecordBytes, x += GroupWords)
        {
            Prefetch(block);
            uint* words = (uint*)(block + ScaleBytes);
            TLanes ones = TLanes.BroadcastWord(corrections[group]), sixteens = TLanes.Zero, two56s = TLanes.Zero, tops = TLanes.Zero;
            Add1(TLanes.LoadWords(words), x, mask0, mask1, mask2, ref ones, ref sixteens, ref two56s, ref tops);
            Add1(TLanes.LoadWords(words + BlockRows), x + 4, mask0, mask1, mask2, ref ones, ref sixteens, ref two56s, ref tops);
            Add1(TLanes.LoadWords(words + 2 * BlockRows), x + 8, mask0, mask1, mask2, ref ones, ref sixteens, ref two56s, ref tops);
            Add1(TLanes.LoadWords(words + 3 * BlockRows), x + 12, mask0, mask1, mask2, ref ones, ref sixteens, ref two56s, ref tops);
            TLanes product = TLanes.AddWords(
                TLanes.AddWords(ones, tops),
                TLanes.AddWords(TLanes.ShiftWordsRight(sixteens, 4), TLanes.ShiftWordsRight(two56s, 8)));
            sum = Accumulate(product, TLanes.LoadBf16((ushort*)block), scales + group, sum);
        }

        TLanes.Store(sum, output);
    }

    /// <summary>The same for two activation rows; output[16 i + lane].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot2<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
        TLanes mask = TLanes.BroadcastWord(0x000F_000F);
        int* x0 = x[0], x1 = x[1];
        TLanes sum0 = TLanes.Zero, sum1 = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += RecordBytes)
        {
            Prefetch(block);
            nint correction = scales + groups + group;
            TLanes a = TLanes.BroadcastWord(x0[correction]);
            TLanes b = TLanes.BroadcastWord(x1[correction]);
            uint* words = (uint*)(block + ScaleBytes);
            nint at = (nint)group * GroupWords;
            for (int j = 0; j < 4; j++, at += 4)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                TLanes nibbles = TLanes.And(word, mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 4), mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 1);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 1);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 8), mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 2);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 2);
                nibbles = TLanes.ShiftPairsRight(word, 12);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 3);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 3);
            }

            TLanes weightScale = TLanes.LoadBf16((ushort*)block);
            sum0 = Accumulate(a, weightScale, (float*)(x0 + scales) + group, sum0);
            sum1 = Accumulate(b, weightScale, (float*)(x1 + scales) + group, sum1);
        }

        TLanes.Store(sum0, output);
        TLanes.Store(sum1, output + BlockRows);
    }

    /// <summary>The same for four activation rows, whose weights are unpacked once; output[16 i + lane].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot4<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
        TLanes mask = TLanes.BroadcastWord(0x000F_000F);
        int* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
        TLanes sum0 = TLanes.Zero, sum1 = TLanes.Zero, sum2 = TLanes.Zero, sum3 = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += RecordBytes)
        {
            Prefetch(block);
            nint correction = scales + groups + group;
            TLanes a = TLanes.BroadcastWord(x0[correction]);
            TLanes b = TLanes.BroadcastWord(x1[correction]);
            TLanes c = TLanes.BroadcastWord(x2[correction]);
            TLanes d = TLanes.BroadcastWord(x3[correction]);
            uint* words = (uint*)(block + ScaleBytes);
            nint at = (nint)group * GroupWords;
            for (int j = 0; j < 4; j++, at += 4)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                TLanes nibbles = TLanes.And(word, mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 4), mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 1);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 1);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at + 1);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at + 1);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 8), mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 2);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 2);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at + 2);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at + 2);
                nibbles = TLanes.ShiftPairsRight(word, 12);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 3);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 3);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at + 3);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at + 3);
            }

            TLanes weightScale = TLanes.LoadBf16((ushort*)block);
            sum0 = Accumulate(a, weightScale, (float*)(x0 + scales) + group, sum0);
            sum1 = Accumulate(b, weightScale, (float*)(x1 + scales) + group, sum1);
            sum2 = Accumulate(c, weightScale, (float*)(x2 + scales) + group, sum2);
            sum3 = Accumulate(d, weightScale, (float*)(x3 + scales) + group, sum3);
        }

        TLanes.Store(sum0, output);
        TLanes.Store(sum1, output + BlockRows);
        TLanes.Store(sum2, output + 2 * BlockRows);
        TLanes.Store(sum3, output + 3 * BlockRows);
    }

    /// <summary>The same for eight activation rows; for paths with 32 registers; output[16 i + lane].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot8<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
        TLanes mask = TLanes.BroadcastWord(0x000F_000F);
        int* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
        TLanes sum0 = TLanes.Zero, sum1 = TLanes.Zero, sum2 = TLanes.Zero, sum3 = TLanes.Zero, sum4 = TLanes.Zero, sum5 = TLanes.Zero, sum6 = TLanes.Zero, sum7 = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += RecordBytes)
        {
            Prefetch(block);
            nint correction = scales + groups + group;
            TLanes a = TLanes.BroadcastWord(x0[correction]);
            TLanes b = TLanes.BroadcastWord(x1[correction]);
            TLanes c = TLanes.BroadcastWord(x2[correction]);
            TLanes d = TLanes.BroadcastWord(x3[correction]);
            TLanes e = TLanes.BroadcastWord(x4[correction]);
            TLanes f = TLanes.BroadcastWord(x5[correction]);
            TLanes g = TLanes.BroadcastWord(x6[correction]);
            TLanes h = TLanes.BroadcastWord(x7[correction]);
            uint* words = (uint*)(block + ScaleBytes);
            nint at = (nint)group * GroupWords;
            for (int j = 0; j < 4; j++, at += 4)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                TLanes nibbles = TLanes.And(word, mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at);
                e = TLanes.MultiplyAddPairs(e, nibbles, x4 + at);
                f = TLanes.MultiplyAddPairs(f, nibbles, x5 + at);
                g = TLanes.MultiplyAddPairs(g, nibbles, x6 + at);
                h = TLanes.MultiplyAddPairs(h, nibbles, x7 + at);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 4), mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 1);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 1);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at + 1);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at + 1);
                e = TLanes.MultiplyAddPairs(e, nibbles, x4 + at + 1);
                f = TLanes.MultiplyAddPairs(f, nibbles, x5 + at + 1);
                g = TLanes.MultiplyAddPairs(g, nibbles, x6 + at + 1);
                h = TLanes.MultiplyAddPairs(h, nibbles, x7 + at + 1);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 8), mask);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 2);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 2);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at + 2);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at + 2);
                e = TLanes.MultiplyAddPairs(e, nibbles, x4 + at + 2);
                f = TLanes.MultiplyAddPairs(f, nibbles, x5 + at + 2);
                g = TLanes.MultiplyAddPairs(g, nibbles, x6 + at + 2);
                h = TLanes.MultiplyAddPairs(h, nibbles, x7 + at + 2);
                nibbles = TLanes.ShiftPairsRight(word, 12);
                a = TLanes.MultiplyAddPairs(a, nibbles, x0 + at + 3);
                b = TLanes.MultiplyAddPairs(b, nibbles, x1 + at + 3);
                c = TLanes.MultiplyAddPairs(c, nibbles, x2 + at + 3);
                d = TLanes.MultiplyAddPairs(d, nibbles, x3 + at + 3);
                e = TLanes.MultiplyAddPairs(e, nibbles, x4 + at + 3);
                f = TLanes.MultiplyAddPairs(f, nibbles, x5 + at + 3);
                g = TLanes.MultiplyAddPairs(g, nibbles, x6 + at + 3);
                h = TLanes.MultiplyAddPairs(h, nibbles, x7 + at + 3);
            }

            TLanes weightScale = TLanes.LoadBf16((ushort*)block);
            sum0 = Accumulate(a, weightScale, (float*)(x0 + scales) + group, sum0);
            sum1 = Accumulate(b, weightScale, (float*)(x1 + scales) + group, sum1);
            sum2 = Accumulate(c, weightScale, (float*)(x2 + scales) + group, sum2);
            sum3 = Accumulate(d, weightScale, (float*)(x3 + scales) + group, sum3);
            sum4 = Accumulate(e, weightScale, (float*)(x4 + scales) + group, sum4);
            sum5 = Accumulate(f, weightScale, (float*)(x5 + scales) + group, sum5);
            sum6 = Accumulate(g, weightScale, (float*)(x6 + scales) + group, sum6);
            sum7 = Accumulate(h, weightScale, (float*)(x7 + scales) + group, sum7);
        }

        TLanes.Store(sum0, output);
        TLanes.Store(sum1, output + BlockRows);
        TLanes.Store(sum2, output + 2 * BlockRows);
        TLanes.Store(sum3, output + 3 * BlockRows);
        TLanes.Store(sum4, output + 4 * BlockRows);
        TLanes.Store(sum5, output + 5 * BlockRows);
        TLanes.Store(sum6, output + 6 * BlockRows);
        TLanes.Store(sum7, output + 7 * BlockRows);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add1<TLanes>(
        TLanes word, int* x, TLanes mask0, TLanes mask1, TLanes mask2, ref TLanes ones, ref TLanes sixteens, ref TLanes two56s, ref TLanes tops)
        where TLanes : struct, ILanes<TLanes>
    {
        ones = TLanes.MultiplyAddPairs(ones, TLanes.And(word, mask0), x);
        sixteens = TLanes.MultiplyAddPairs(sixteens, TLanes.And(word, mask1), x + 1);
        two56s = TLanes.MultiplyAddPairs(two56s, TLanes.And(word, mask2), x + 2);
        tops = TLanes.MultiplyAddPairs(tops, TLanes.ShiftPairsRight(word, 12), x + 3);
    }

    /// <summary>One group's part of a sum, rounded once.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static TLanes Accumulate<TLanes>(TLanes product, TLanes weightScale, float* scale, TLanes sum)
        where TLanes : struct, ILanes<TLanes> =>
        TLanes.FusedMultiplyAdd(TLanes.ConvertToSingle(product), TLanes.Multiply(weightScale, TLanes.Broadcast(*scale)), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static void Prefetch(byte* block)
    {
        if (!Sse.IsSupported)
            return;
        Sse.Prefetch0(block + PrefetchBytes);
        Sse.Prefetch0(block + PrefetchBytes + 64);
        Sse.Prefetch0(block + PrefetchBytes + 128);
        Sse.Prefetch0(block + PrefetchBytes + 192);
        Sse.Prefetch0(block + PrefetchBytes + 256);
    }
}
