using System.Runtime.CompilerServices;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// Products of INT4 weights, laid out as <see cref="Int4Kernel"/> has them, with INT8 activations: half the multiplications of
/// INT16. A group's product is an exact integer; then acc = fma(product, weight scale × activation scale, acc) over the groups
/// in order, from zero.
/// </summary>
/// <remarks>
/// A group is summed in the two 16-bit halves of a word, 16 products each, which start from the corrections −8 × Σ values. On
/// the way a half is at most 16 × 8 × 127 = 16256, as each column counts with q − 8 or, before its turn, with −8; in
/// <see cref="Dot1"/>, where the odd columns are apart, at most 16256 + 8 × 15 × 127 = 31496.
/// Against INT16, 8 experts on 2 threads, AVX-512 (AVX2): one row 1.0 (1.1) times as fast, 4 rows 1.3 (1.5), 8 rows 1.4 (1.3).
/// </remarks>
internal readonly unsafe struct Int4Int8Kernel : IInt4Kernel
{
    private const int BlockRows = Int4Kernel.BlockRows;
    private const int GroupWords = QuantizedRows.GroupSize / 4;
    private const int Nibbles = 0x0F0F_0F0F;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot1<TLanes>(byte* block, int groups, int* x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        float* scales = (float*)(x + groups * GroupWords);
        int* corrections = (int*)(scales + groups);
        TLanes mask = TLanes.BroadcastWord(Nibbles);
        TLanes sum = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += Int4Kernel.RecordBytes, x += GroupWords)
        {
            Int4Kernel.Prefetch(block);
            uint* words = (uint*)(block + Int4Kernel.ScaleBytes);
            // Two sums, so that they need not wait for each other.
            TLanes even = TLanes.BroadcastWord(corrections[group]), odd = TLanes.Zero;
            Add1(TLanes.LoadWords(words), x, mask, ref even, ref odd);
            Add1(TLanes.LoadWords(words + BlockRows), x + 2, mask, ref even, ref odd);
            Add1(TLanes.LoadWords(words + 2 * BlockRows), x + 4, mask, ref even, ref odd);
            Add1(TLanes.LoadWords(words + 3 * BlockRows), x + 6, mask, ref even, ref odd);
            TLanes product = TLanes.AddWords(TLanes.SumPairs(even), TLanes.SumPairs(odd));
            sum = Int4Kernel.Accumulate(product, TLanes.LoadBf16((ushort*)block), scales + group, sum);
        }

        TLanes.Store(sum, output);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot2<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
        TLanes mask = TLanes.BroadcastWord(Nibbles);
        int* x0 = x[0], x1 = x[1];
        TLanes sum0 = TLanes.Zero, sum1 = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += Int4Kernel.RecordBytes)
        {
            Int4Kernel.Prefetch(block);
            nint correction = scales + groups + group;
            TLanes a = TLanes.BroadcastWord(x0[correction]);
            TLanes b = TLanes.BroadcastWord(x1[correction]);
            uint* words = (uint*)(block + Int4Kernel.ScaleBytes);
            nint at = (nint)group * GroupWords;
            for (int j = 0; j < 4; j++, at += 2)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                TLanes nibbles = TLanes.And(word, mask);
                a = TLanes.MultiplyAddBytes(a, nibbles, x0 + at);
                b = TLanes.MultiplyAddBytes(b, nibbles, x1 + at);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 4), mask);
                a = TLanes.MultiplyAddBytes(a, nibbles, x0 + at + 1);
                b = TLanes.MultiplyAddBytes(b, nibbles, x1 + at + 1);
            }

            TLanes weightScale = TLanes.LoadBf16((ushort*)block);
            sum0 = Accumulate(a, weightScale, (float*)(x0 + scales) + group, sum0);
            sum1 = Accumulate(b, weightScale, (float*)(x1 + scales) + group, sum1);
        }

        TLanes.Store(sum0, output);
        TLanes.Store(sum1, output + BlockRows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot4<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
        TLanes mask = TLanes.BroadcastWord(Nibbles);
        int* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3];
        TLanes sum0 = TLanes.Zero, sum1 = TLanes.Zero, sum2 = TLanes.Zero, sum3 = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += Int4Kernel.RecordBytes)
        {
            Int4Kernel.Prefetch(block);
            nint correction = scales + groups + group;
            TLanes a = TLanes.BroadcastWord(x0[correction]);
            TLanes b = TLanes.BroadcastWord(x1[correction]);
            TLanes c = TLanes.BroadcastWord(x2[correction]);
            TLanes d = TLanes.BroadcastWord(x3[correction]);
            uint* words = (uint*)(block + Int4Kernel.ScaleBytes);
            nint at = (nint)group * GroupWords;
            for (int j = 0; j < 4; j++, at += 2)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                TLanes nibbles = TLanes.And(word, mask);
                a = TLanes.MultiplyAddBytes(a, nibbles, x0 + at);
                b = TLanes.MultiplyAddBytes(b, nibbles, x1 + at);
                c = TLanes.MultiplyAddBytes(c, nibbles, x2 + at);
                d = TLanes.MultiplyAddBytes(d, nibbles, x3 + at);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 4), mask);
                a = TLanes.MultiplyAddBytes(a, nibbles, x0 + at + 1);
                b = TLanes.MultiplyAddBytes(b, nibbles, x1 + at + 1);
                c = TLanes.MultiplyAddBytes(c, nibbles, x2 + at + 1);
                d = TLanes.MultiplyAddBytes(d, nibbles, x3 + at + 1);
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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot8<TLanes>(byte* block, int groups, int** x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
        TLanes mask = TLanes.BroadcastWord(Nibbles);
        int* x0 = x[0], x1 = x[1], x2 = x[2], x3 = x[3], x4 = x[4], x5 = x[5], x6 = x[6], x7 = x[7];
        TLanes sum0 = TLanes.Zero, sum1 = TLanes.Zero, sum2 = TLanes.Zero, sum3 = TLanes.Zero, sum4 = TLanes.Zero, sum5 = TLanes.Zero, sum6 = TLanes.Zero, sum7 = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += Int4Kernel.RecordBytes)
        {
            Int4Kernel.Prefetch(block);
            nint correction = scales + groups + group;
            TLanes a = TLanes.BroadcastWord(x0[correction]);
            TLanes b = TLanes.BroadcastWord(x1[correction]);
            TLanes c = TLanes.BroadcastWord(x2[correction]);
            TLanes d = TLanes.BroadcastWord(x3[correction]);
            TLanes e = TLanes.BroadcastWord(x4[correction]);
            TLanes f = TLanes.BroadcastWord(x5[correction]);
            TLanes g = TLanes.BroadcastWord(x6[correction]);
            TLanes h = TLanes.BroadcastWord(x7[correction]);
            uint* words = (uint*)(block + Int4Kernel.ScaleBytes);
            nint at = (nint)group * GroupWords;
            for (int j = 0; j < 4; j++, at += 2)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                TLanes nibbles = TLanes.And(word, mask);
                a = TLanes.MultiplyAddBytes(a, nibbles, x0 + at);
                b = TLanes.MultiplyAddBytes(b, nibbles, x1 + at);
                c = TLanes.MultiplyAddBytes(c, nibbles, x2 + at);
                d = TLanes.MultiplyAddBytes(d, nibbles, x3 + at);
                e = TLanes.MultiplyAddBytes(e, nibbles, x4 + at);
                f = TLanes.MultiplyAddBytes(f, nibbles, x5 + at);
                g = TLanes.MultiplyAddBytes(g, nibbles, x6 + at);
                h = TLanes.MultiplyAddBytes(h, nibbles, x7 + at);
                nibbles = TLanes.And(TLanes.ShiftPairsRight(word, 4), mask);
                a = TLanes.MultiplyAddBytes(a, nibbles, x0 + at + 1);
                b = TLanes.MultiplyAddBytes(b, nibbles, x1 + at + 1);
                c = TLanes.MultiplyAddBytes(c, nibbles, x2 + at + 1);
                d = TLanes.MultiplyAddBytes(d, nibbles, x3 + at + 1);
                e = TLanes.MultiplyAddBytes(e, nibbles, x4 + at + 1);
                f = TLanes.MultiplyAddBytes(f, nibbles, x5 + at + 1);
                g = TLanes.MultiplyAddBytes(g, nibbles, x6 + at + 1);
                h = TLanes.MultiplyAddBytes(h, nibbles, x7 + at + 1);
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
    private static void Add1<TLanes>(TLanes word, int* x, TLanes mask, ref TLanes even, ref TLanes odd)
        where TLanes : struct, ILanes<TLanes>
    {
        even = TLanes.MultiplyAddBytes(even, TLanes.And(word, mask), x);
        odd = TLanes.MultiplyAddBytes(odd, TLanes.And(TLanes.ShiftPairsRight(word, 4), mask), x + 1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Accumulate<TLanes>(TLanes halves, TLanes weightScale, float* scale, TLanes sum)
        where TLanes : struct, ILanes<TLanes> =>
        Int4Kernel.Accumulate(TLanes.SumPairs(halves), weightScale, scale, sum);
}
