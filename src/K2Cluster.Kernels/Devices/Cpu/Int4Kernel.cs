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
/// </remarks>
internal static unsafe class Int4Kernel
{
    public const int BlockRows = 16;
    public const int RecordBytes = ScaleBytes + 4 * WordVectorBytes;

    private const int ScaleBytes = BlockRows * sizeof(ushort);
    private const int WordVectorBytes = BlockRows * sizeof(uint);
    private const int GroupWords = QuantizedRows.GroupWords;

    /// <summary>How far ahead of the stream to prefetch: measured best between 4 and 16 KiB.</summary>
    private const int PrefetchBytes = 8 * 1024;

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
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot1<TLanes>(byte* block, int groups, int* x, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        float* scales = (float*)(x + groups * GroupWords);
        int* corrections = (int*)(scales + groups);
        TLanes sum = TLanes.Zero;
        for (int group = 0; group < groups; group++, block += RecordBytes, x += GroupWords)
        {
            Prefetch(block);
            TLanes weightScale = TLanes.LoadBf16((ushort*)block);
            TLanes even = TLanes.BroadcastWord(corrections[group]);
            TLanes odd = TLanes.Zero;
            uint* words = (uint*)(block + ScaleBytes);
            for (nint j = 0; j < 4; j++)
            {
                TLanes word = TLanes.LoadWords(words + j * BlockRows);
                even = TLanes.MultiplyAddPairs(even, TLanes.NibblePairs(word, 0), x + 4 * j);
                odd = TLanes.MultiplyAddPairs(odd, TLanes.NibblePairs(word, 4), x + 4 * j + 1);
                even = TLanes.MultiplyAddPairs(even, TLanes.NibblePairs(word, 8), x + 4 * j + 2);
                odd = TLanes.MultiplyAddPairs(odd, TLanes.NibblePairs(word, 12), x + 4 * j + 3);
            }

            TLanes product = TLanes.ConvertToSingle(TLanes.AddWords(even, odd));
            sum = TLanes.FusedMultiplyAdd(product, TLanes.Multiply(weightScale, TLanes.Broadcast(scales[group])), sum);
        }

        TLanes.Store(sum, output);
    }

    /// <summary>The same for four activation rows, whose weights are unpacked once; output[16 i + lane].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dot4<TLanes>(byte* block, int groups, int* x0, int* x1, int* x2, int* x3, float* output)
        where TLanes : struct, ILanes<TLanes>
    {
        nint scales = (nint)groups * GroupWords;
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
                Add(TLanes.NibblePairs(word, 0), x0 + at, x1 + at, x2 + at, x3 + at, ref a, ref b, ref c, ref d);
                Add(TLanes.NibblePairs(word, 4), x0 + at + 1, x1 + at + 1, x2 + at + 1, x3 + at + 1, ref a, ref b, ref c, ref d);
                Add(TLanes.NibblePairs(word, 8), x0 + at + 2, x1 + at + 2, x2 + at + 2, x3 + at + 2, ref a, ref b, ref c, ref d);
                Add(TLanes.NibblePairs(word, 12), x0 + at + 3, x1 + at + 3, x2 + at + 3, x3 + at + 3, ref a, ref b, ref c, ref d);
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

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TLanes>(
        TLanes weights, int* word0, int* word1, int* word2, int* word3, ref TLanes a, ref TLanes b, ref TLanes c, ref TLanes d)
        where TLanes : struct, ILanes<TLanes>
    {
        a = TLanes.MultiplyAddPairs(a, weights, word0);
        b = TLanes.MultiplyAddPairs(b, weights, word1);
        c = TLanes.MultiplyAddPairs(c, weights, word2);
        d = TLanes.MultiplyAddPairs(d, weights, word3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Accumulate<TLanes>(TLanes product, TLanes weightScale, float* scale, TLanes sum)
        where TLanes : struct, ILanes<TLanes> =>
        TLanes.FusedMultiplyAdd(TLanes.ConvertToSingle(product), TLanes.Multiply(weightScale, TLanes.Broadcast(*scale)), sum);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(byte* block)
    {
        if (!Sse.IsSupported)
            return;
        for (int line = 0; line < RecordBytes; line += 64)
            Sse.Prefetch0(block + PrefetchBytes + line);
    }
}
