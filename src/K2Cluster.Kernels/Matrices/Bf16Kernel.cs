using System.Runtime.CompilerServices;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Matrices;

/// <summary>
/// Products with blocks of <see cref="Bf16Matrix"/>. Lane = output row; each output is one chain of fused multiply-adds in the
/// order of k. Tiles of several rows and blocks only put independent chains side by side, and cutting k into chunks only
/// stores a sum and loads it again: neither changes a bit.
/// </summary>
internal static unsafe class Bf16Kernel
{
    private const int BlockRows = Bf16Matrix.BlockRows;

    /// <summary>Columns done for all input rows before the next: 4 blocks × 256 × 32 B = 32 KiB of weights stay in the L1 cache.</summary>
    private const int ChunkColumns = 256;

    /// <summary>
    /// output[i × outputStride + 16 b + lane] for <paramref name="count"/> input rows and <paramref name="blocks"/> whole
    /// consecutive blocks.
    /// </summary>
    public static void Multiply<TLanes>(
        uint* weights, int columns, float* input, nint inputStride, float* output, nint outputStride, int blocks, int count)
        where TLanes : struct, ILanes<TLanes>
    {
        nint blockStride = (nint)((columns + 1) / 2) * BlockRows;
        for (int start = 0; start < columns; start += ChunkColumns)
        {
            int length = Math.Min(ChunkColumns, columns - start);
            bool resume = start > 0;
            uint* chunk = weights + (nint)(start / 2) * BlockRows;
            int i = 0;
            for (; i + 4 <= count; i += 4)
            {
                float* x = input + i * inputStride + start;
                float* y = output + i * outputStride;
                if (blocks == 4 && TLanes.HoldsWideTile)
                {
                    Tile4x4<TLanes>(chunk, blockStride, length, x, inputStride, y, outputStride, resume);
                    continue;
                }

                for (int block = 0; block < blocks; block++)
                    Tile4x1<TLanes>(chunk + block * blockStride, length, x, inputStride, y + block * BlockRows, outputStride, resume);
            }

            if (i + 2 <= count && blocks == 4 && TLanes.HoldsWideTile)
            {
                Tile2x4<TLanes>(chunk, blockStride, length, input + i * inputStride + start, inputStride, output + i * outputStride, outputStride, resume);
                i += 2;
            }

            for (; i < count; i++)
            {
                float* x = input + i * inputStride + start;
                float* y = output + i * outputStride;
                if (blocks == 4)
                {
                    Tile1x4<TLanes>(chunk, blockStride, length, x, y, resume);
                    continue;
                }

                for (int block = 0; block < blocks; block++)
                    Tile1x1<TLanes>(chunk + block * blockStride, length, x, y + block * BlockRows, resume);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLanes Start<TLanes>(float* sum, bool resume)
        where TLanes : struct, ILanes<TLanes> => resume ? TLanes.Load(sum) : TLanes.Zero;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x1<TLanes>(uint* w, int length, float* x, float* y, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes sum = Start<TLanes>(y, resume);
        int k = 0;
        for (; k + 2 <= length; k += 2, w += BlockRows)
        {
            TLanes words = TLanes.LoadWords(w);
            sum = TLanes.FusedMultiplyAdd(TLanes.LowBf16(words), TLanes.Broadcast(x[k]), sum);
            sum = TLanes.FusedMultiplyAdd(TLanes.HighBf16(words), TLanes.Broadcast(x[k + 1]), sum);
        }

        if (k < length)
            sum = TLanes.FusedMultiplyAdd(TLanes.LowBf16(TLanes.LoadWords(w)), TLanes.Broadcast(x[k]), sum);
        TLanes.Store(sum, y);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile1x4<TLanes>(uint* w0, nint blockStride, int length, float* x, float* y, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        uint* w1 = w0 + blockStride;
        uint* w2 = w1 + blockStride;
        uint* w3 = w2 + blockStride;
        TLanes sum0 = Start<TLanes>(y, resume);
        TLanes sum1 = Start<TLanes>(y + BlockRows, resume);
        TLanes sum2 = Start<TLanes>(y + 2 * BlockRows, resume);
        TLanes sum3 = Start<TLanes>(y + 3 * BlockRows, resume);
        int k = 0;
        nint at = 0;
        for (; k + 2 <= length; k += 2, at += BlockRows)
        {
            TLanes even = TLanes.Broadcast(x[k]);
            TLanes odd = TLanes.Broadcast(x[k + 1]);
            TLanes words0 = TLanes.LoadWords(w0 + at);
            TLanes words1 = TLanes.LoadWords(w1 + at);
            TLanes words2 = TLanes.LoadWords(w2 + at);
            TLanes words3 = TLanes.LoadWords(w3 + at);
            sum0 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(words0), even, sum0);
            sum1 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(words1), even, sum1);
            sum2 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(words2), even, sum2);
            sum3 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(words3), even, sum3);
            sum0 = TLanes.FusedMultiplyAdd(TLanes.HighBf16(words0), odd, sum0);
            sum1 = TLanes.FusedMultiplyAdd(TLanes.HighBf16(words1), odd, sum1);
            sum2 = TLanes.FusedMultiplyAdd(TLanes.HighBf16(words2), odd, sum2);
            sum3 = TLanes.FusedMultiplyAdd(TLanes.HighBf16(words3), odd, sum3);
        }

        if (k < length)
        {
            TLanes last = TLanes.Broadcast(x[k]);
            sum0 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(TLanes.LoadWords(w0 + at)), last, sum0);
            sum1 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(TLanes.LoadWords(w1 + at)), last, sum1);
            sum2 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(TLanes.LoadWords(w2 + at)), last, sum2);
            sum3 = TLanes.FusedMultiplyAdd(TLanes.LowBf16(TLanes.LoadWords(w3 + at)), last, sum3);
        }

        TLanes.Store(sum0, y);
        TLanes.Store(sum1, y + BlockRows);
        TLanes.Store(sum2, y + 2 * BlockRows);
        TLanes.Store(sum3, y + 3 * BlockRows);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile2x4<TLanes>(
        uint* w0, nint blockStride, int length, float* x0, nint inputStride, float* y, nint outputStride, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        uint* w1 = w0 + blockStride;
        uint* w2 = w1 + blockStride;
        uint* w3 = w2 + blockStride;
        float* x1 = x0 + inputStride;
        float* y1 = y + outputStride;
        TLanes s00 = Start<TLanes>(y, resume), s01 = Start<TLanes>(y + 16, resume), s02 = Start<TLanes>(y + 32, resume), s03 = Start<TLanes>(y + 48, resume);
        TLanes s10 = Start<TLanes>(y1, resume), s11 = Start<TLanes>(y1 + 16, resume), s12 = Start<TLanes>(y1 + 32, resume), s13 = Start<TLanes>(y1 + 48, resume);
        nint k = 0;
        nint even = length & ~1;
        for (; k < even; k += 2)
        {
            TLanes a = TLanes.LowBf16(TLanes.LoadWords(w0 + k * (BlockRows / 2)));
            TLanes b = TLanes.LowBf16(TLanes.LoadWords(w1 + k * (BlockRows / 2)));
            TLanes c = TLanes.LowBf16(TLanes.LoadWords(w2 + k * (BlockRows / 2)));
            TLanes d = TLanes.LowBf16(TLanes.LoadWords(w3 + k * (BlockRows / 2)));
            TLanes x = TLanes.Broadcast(x0[k]);
            s00 = TLanes.FusedMultiplyAdd(a, x, s00);
            s01 = TLanes.FusedMultiplyAdd(b, x, s01);
            s02 = TLanes.FusedMultiplyAdd(c, x, s02);
            s03 = TLanes.FusedMultiplyAdd(d, x, s03);
            x = TLanes.Broadcast(x1[k]);
            s10 = TLanes.FusedMultiplyAdd(a, x, s10);
            s11 = TLanes.FusedMultiplyAdd(b, x, s11);
            s12 = TLanes.FusedMultiplyAdd(c, x, s12);
            s13 = TLanes.FusedMultiplyAdd(d, x, s13);
            a = TLanes.HighBf16(TLanes.LoadWords(w0 + k * (BlockRows / 2)));
            b = TLanes.HighBf16(TLanes.LoadWords(w1 + k * (BlockRows / 2)));
            c = TLanes.HighBf16(TLanes.LoadWords(w2 + k * (BlockRows / 2)));
            d = TLanes.HighBf16(TLanes.LoadWords(w3 + k * (BlockRows / 2)));
            x = TLanes.Broadcast(x0[k + 1]);
            s00 = TLanes.FusedMultiplyAdd(a, x, s00);
            s01 = TLanes.FusedMultiplyAdd(b, x, s01);
            s02 = TLanes.FusedMultiplyAdd(c, x, s02);
            s03 = TLanes.FusedMultiplyAdd(d, x, s03);
            x = TLanes.Broadcast(x1[k + 1]);
            s10 = TLanes.FusedMultiplyAdd(a, x, s10);
            s11 = TLanes.FusedMultiplyAdd(b, x, s11);
            s12 = TLanes.FusedMultiplyAdd(c, x, s12);
            s13 = TLanes.FusedMultiplyAdd(d, x, s13);
        }

        if (k < length)
        {
            TLanes a = TLanes.LowBf16(TLanes.LoadWords(w0 + k * (BlockRows / 2)));
            TLanes b = TLanes.LowBf16(TLanes.LoadWords(w1 + k * (BlockRows / 2)));
            TLanes c = TLanes.LowBf16(TLanes.LoadWords(w2 + k * (BlockRows / 2)));
            TLanes d = TLanes.LowBf16(TLanes.LoadWords(w3 + k * (BlockRows / 2)));
            TLanes x = TLanes.Broadcast(x0[k]);
            s00 = TLanes.FusedMultiplyAdd(a, x, s00);
            s01 = TLanes.FusedMultiplyAdd(b, x, s01);
            s02 = TLanes.FusedMultiplyAdd(c, x, s02);
            s03 = TLanes.FusedMultiplyAdd(d, x, s03);
            x = TLanes.Broadcast(x1[k]);
            s10 = TLanes.FusedMultiplyAdd(a, x, s10);
            s11 = TLanes.FusedMultiplyAdd(b, x, s11);
            s12 = TLanes.FusedMultiplyAdd(c, x, s12);
            s13 = TLanes.FusedMultiplyAdd(d, x, s13);
        }

        StoreFour(s00, s01, s02, s03, y);
        StoreFour(s10, s11, s12, s13, y1);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x1<TLanes>(uint* w, int length, float* x0, nint inputStride, float* y, nint outputStride, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        float* x1 = x0 + inputStride;
        float* x2 = x1 + inputStride;
        float* x3 = x2 + inputStride;
        TLanes sum0 = Start<TLanes>(y, resume);
        TLanes sum1 = Start<TLanes>(y + outputStride, resume);
        TLanes sum2 = Start<TLanes>(y + 2 * outputStride, resume);
        TLanes sum3 = Start<TLanes>(y + 3 * outputStride, resume);
        int k = 0;
        for (; k + 2 <= length; k += 2, w += BlockRows)
        {
            TLanes words = TLanes.LoadWords(w);
            TLanes low = TLanes.LowBf16(words);
            TLanes high = TLanes.HighBf16(words);
            sum0 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x0[k]), sum0);
            sum1 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x1[k]), sum1);
            sum2 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x2[k]), sum2);
            sum3 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x3[k]), sum3);
            sum0 = TLanes.FusedMultiplyAdd(high, TLanes.Broadcast(x0[k + 1]), sum0);
            sum1 = TLanes.FusedMultiplyAdd(high, TLanes.Broadcast(x1[k + 1]), sum1);
            sum2 = TLanes.FusedMultiplyAdd(high, TLanes.Broadcast(x2[k + 1]), sum2);
            sum3 = TLanes.FusedMultiplyAdd(high, TLanes.Broadcast(x3[k + 1]), sum3);
        }

        if (k < length)
        {
            TLanes low = TLanes.LowBf16(TLanes.LoadWords(w));
            sum0 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x0[k]), sum0);
            sum1 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x1[k]), sum1);
            sum2 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x2[k]), sum2);
            sum3 = TLanes.FusedMultiplyAdd(low, TLanes.Broadcast(x3[k]), sum3);
        }

        TLanes.Store(sum0, y);
        TLanes.Store(sum1, y + outputStride);
        TLanes.Store(sum2, y + 2 * outputStride);
        TLanes.Store(sum3, y + 3 * outputStride);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Tile4x4<TLanes>(
        uint* w0, nint blockStride, int length, float* x0, nint inputStride, float* y, nint outputStride, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        uint* w1 = w0 + blockStride;
        uint* w2 = w1 + blockStride;
        uint* w3 = w2 + blockStride;
        float* x1 = x0 + inputStride;
        float* x2 = x1 + inputStride;
        float* x3 = x2 + inputStride;
        float* y1 = y + outputStride;
        float* y2 = y1 + outputStride;
        float* y3 = y2 + outputStride;
        TLanes s00 = Start<TLanes>(y, resume), s01 = Start<TLanes>(y + 16, resume), s02 = Start<TLanes>(y + 32, resume), s03 = Start<TLanes>(y + 48, resume);
        TLanes s10 = Start<TLanes>(y1, resume), s11 = Start<TLanes>(y1 + 16, resume), s12 = Start<TLanes>(y1 + 32, resume), s13 = Start<TLanes>(y1 + 48, resume);
        TLanes s20 = Start<TLanes>(y2, resume), s21 = Start<TLanes>(y2 + 16, resume), s22 = Start<TLanes>(y2 + 32, resume), s23 = Start<TLanes>(y2 + 48, resume);
        TLanes s30 = Start<TLanes>(y3, resume), s31 = Start<TLanes>(y3 + 16, resume), s32 = Start<TLanes>(y3 + 32, resume), s33 = Start<TLanes>(y3 + 48, resume);
        nint k = 0;
        nint even = length & ~1;
        for (; k < even; k += 2)
        {
            TLanes a = TLanes.LowBf16(TLanes.LoadWords(w0 + k * (BlockRows / 2)));
            TLanes b = TLanes.LowBf16(TLanes.LoadWords(w1 + k * (BlockRows / 2)));
            TLanes c = TLanes.LowBf16(TLanes.LoadWords(w2 + k * (BlockRows / 2)));
            TLanes d = TLanes.LowBf16(TLanes.LoadWords(w3 + k * (BlockRows / 2)));
            TLanes x = TLanes.Broadcast(x0[k]);
            s00 = TLanes.FusedMultiplyAdd(a, x, s00);
            s01 = TLanes.FusedMultiplyAdd(b, x, s01);
            s02 = TLanes.FusedMultiplyAdd(c, x, s02);
            s03 = TLanes.FusedMultiplyAdd(d, x, s03);
            x = TLanes.Broadcast(x1[k]);
            s10 = TLanes.FusedMultiplyAdd(a, x, s10);
            s11 = TLanes.FusedMultiplyAdd(b, x, s11);
            s12 = TLanes.FusedMultiplyAdd(c, x, s12);
            s13 = TLanes.FusedMultiplyAdd(d, x, s13);
            x = TLanes.Broadcast(x2[k]);
            s20 = TLanes.FusedMultiplyAdd(a, x, s20);
            s21 = TLanes.FusedMultiplyAdd(b, x, s21);
            s22 = TLanes.FusedMultiplyAdd(c, x, s22);
            s23 = TLanes.FusedMultiplyAdd(d, x, s23);
            x = TLanes.Broadcast(x3[k]);
            s30 = TLanes.FusedMultiplyAdd(a, x, s30);
            s31 = TLanes.FusedMultiplyAdd(b, x, s31);
            s32 = TLanes.FusedMultiplyAdd(c, x, s32);
            s33 = TLanes.FusedMultiplyAdd(d, x, s33);
            a = TLanes.HighBf16(TLanes.LoadWords(w0 + k * (BlockRows / 2)));
            b = TLanes.HighBf16(TLanes.LoadWords(w1 + k * (BlockRows / 2)));
            c = TLanes.HighBf16(TLanes.LoadWords(w2 + k * (BlockRows / 2)));
            d = TLanes.HighBf16(TLanes.LoadWords(w3 + k * (BlockRows / 2)));
            x = TLanes.Broadcast(x0[k + 1]);
            s00 = TLanes.FusedMultiplyAdd(a, x, s00);
            s01 = TLanes.FusedMultiplyAdd(b, x, s01);
            s02 = TLanes.FusedMultiplyAdd(c, x, s02);
            s03 = TLanes.FusedMultiplyAdd(d, x, s03);
            x = TLanes.Broadcast(x1[k + 1]);
            s10 = TLanes.FusedMultiplyAdd(a, x, s10);
            s11 = TLanes.FusedMultiplyAdd(b, x, s11);
            s12 = TLanes.FusedMultiplyAdd(c, x, s12);
            s13 = TLanes.FusedMultiplyAdd(d, x, s13);
            x = TLanes.Broadcast(x2[k + 1]);
            s20 = TLanes.FusedMultiplyAdd(a, x, s20);
            s21 = TLanes.FusedMultiplyAdd(b, x, s21);
            s22 = TLanes.FusedMultiplyAdd(c, x, s22);
            s23 = TLanes.FusedMultiplyAdd(d, x, s23);
            x = TLanes.Broadcast(x3[k + 1]);
            s30 = TLanes.FusedMultiplyAdd(a, x, s30);
            s31 = TLanes.FusedMultiplyAdd(b, x, s31);
            s32 = TLanes.FusedMultiplyAdd(c, x, s32);
            s33 = TLanes.FusedMultiplyAdd(d, x, s33);
        }

        if (k < length)
        {
            TLanes a = TLanes.LowBf16(TLanes.LoadWords(w0 + k * (BlockRows / 2)));
            TLanes b = TLanes.LowBf16(TLanes.LoadWords(w1 + k * (BlockRows / 2)));
            TLanes c = TLanes.LowBf16(TLanes.LoadWords(w2 + k * (BlockRows / 2)));
            TLanes d = TLanes.LowBf16(TLanes.LoadWords(w3 + k * (BlockRows / 2)));
            TLanes x = TLanes.Broadcast(x0[k]);
            s00 = TLanes.FusedMultiplyAdd(a, x, s00);
            s01 = TLanes.FusedMultiplyAdd(b, x, s01);
            s02 = TLanes.FusedMultiplyAdd(c, x, s02);
            s03 = TLanes.FusedMultiplyAdd(d, x, s03);
            x = TLanes.Broadcast(x1[k]);
            s10 = TLanes.FusedMultiplyAdd(a, x, s10);
            s11 = TLanes.FusedMultiplyAdd(b, x, s11);
            s12 = TLanes.FusedMultiplyAdd(c, x, s12);
            s13 = TLanes.FusedMultiplyAdd(d, x, s13);
            x = TLanes.Broadcast(x2[k]);
            s20 = TLanes.FusedMultiplyAdd(a, x, s20);
            s21 = TLanes.FusedMultiplyAdd(b, x, s21);
            s22 = TLanes.FusedMultiplyAdd(c, x, s22);
            s23 = TLanes.FusedMultiplyAdd(d, x, s23);
            x = TLanes.Broadcast(x3[k]);
            s30 = TLanes.FusedMultiplyAdd(a, x, s30);
            s31 = TLanes.FusedMultiplyAdd(b, x, s31);
            s32 = TLanes.FusedMultiplyAdd(c, x, s32);
            s33 = TLanes.FusedMultiplyAdd(d, x, s33);
        }

        StoreFour(s00, s01, s02, s03, y);
        StoreFour(s10, s11, s12, s13, y1);
        StoreFour(s20, s21, s22, s23, y2);
        StoreFour(s30, s31, s32, s33, y3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void StoreFour<TLanes>(TLanes sum0, TLanes sum1, TLanes sum2, TLanes sum3, float* y)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes.Store(sum0, y);
        TLanes.Store(sum1, y + BlockRows);
        TLanes.Store(sum2, y + 2 * BlockRows);
        TLanes.Store(sum3, y + 3 * BlockRows);
    }
}
