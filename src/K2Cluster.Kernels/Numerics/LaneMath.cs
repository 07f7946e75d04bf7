using System.Runtime.CompilerServices;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Numerics;

/// <summary>Functions of lanes, and the reductions over rows that every path does alike. For use within kernels.</summary>
public static unsafe class LaneMath
{
    public const int LaneCount = 16;

    /// <summary>
    /// e^x, relative error below 2e-7 where the result is normal. Exactly 1 at 0; 0 at −∞ and below −104; +∞ from 88.73; NaN
    /// stays NaN; results below 2^−126 are rounded twice.
    /// </summary>
    /// <remarks>
    /// x = n ln 2 + r with ln 2 in two parts; the polynomial of Cephes' expf on |r| ≤ ln 2 / 2; 2^n in two factors, so that
    /// overflow and underflow happen in the last product.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Exp<TLanes>(TLanes x)
        where TLanes : struct, ILanes<TLanes>
    {
        // The value is the second operand: a NaN passes through.
        x = TLanes.Min(TLanes.Broadcast(89f), TLanes.Max(TLanes.Broadcast(-104f), x));
        TLanes n = TLanes.Round(TLanes.Multiply(x, TLanes.Broadcast(1.44269504f)));
        TLanes r = TLanes.FusedMultiplyAdd(n, TLanes.Broadcast(-0.693359375f), x);
        r = TLanes.FusedMultiplyAdd(n, TLanes.Broadcast(2.12194440e-4f), r);
        TLanes p = TLanes.Broadcast(1.9875691500e-4f);
        p = TLanes.FusedMultiplyAdd(p, r, TLanes.Broadcast(1.3981999507e-3f));
        p = TLanes.FusedMultiplyAdd(p, r, TLanes.Broadcast(8.3334519073e-3f));
        p = TLanes.FusedMultiplyAdd(p, r, TLanes.Broadcast(4.1665795894e-2f));
        p = TLanes.FusedMultiplyAdd(p, r, TLanes.Broadcast(1.6666665459e-1f));
        p = TLanes.FusedMultiplyAdd(p, r, TLanes.Broadcast(0.5f));
        p = TLanes.FusedMultiplyAdd(p, TLanes.Multiply(r, r), r);
        p = TLanes.Add(p, TLanes.Broadcast(1f));
        TLanes half = TLanes.Round(TLanes.Multiply(n, TLanes.Broadcast(0.5f)));
        p = TLanes.Multiply(p, TLanes.PowerOfTwo(half));
        return TLanes.Multiply(p, TLanes.PowerOfTwo(TLanes.Subtract(n, half)));
    }

    /// <summary>1 / (1 + e^−x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes Sigmoid<TLanes>(TLanes x)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes one = TLanes.Broadcast(1f);
        return TLanes.Divide(one, TLanes.Add(one, Exp(TLanes.Subtract(TLanes.Zero, x))));
    }

    /// <summary>gate / (1 + e^−gate) × up.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static TLanes SwiGlu<TLanes>(TLanes gate, TLanes up)
        where TLanes : struct, ILanes<TLanes>
    {
        TLanes denominator = TLanes.Add(TLanes.Broadcast(1f), Exp(TLanes.Subtract(TLanes.Zero, gate)));
        return TLanes.Multiply(TLanes.Divide(gate, denominator), up);
    }

    /// <summary>Loads 0..15 floats; the other lanes are <paramref name="padding"/>.</summary>
    public static TLanes LoadTail<TLanes>(float* source, int count, float padding = 0)
        where TLanes : struct, ILanes<TLanes>
    {
        float* padded = stackalloc float[LaneCount];
        for (int i = 0; i < LaneCount; i++)
            padded[i] = i < count ? source[i] : padding;
        return TLanes.Load(padded);
    }

    /// <summary>Stores the first 0..15 lanes.</summary>
    public static void StoreTail<TLanes>(TLanes value, float* destination, int count)
        where TLanes : struct, ILanes<TLanes>
    {
        float* whole = stackalloc float[LaneCount];
        TLanes.Store(value, whole);
        for (int i = 0; i < count; i++)
            destination[i] = whole[i];
    }
}
