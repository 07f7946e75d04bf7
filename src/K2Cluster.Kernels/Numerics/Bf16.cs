using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Numerics;

/// <summary>BF16, the upper half of an FP32: 8 bits of mantissa.</summary>
public static unsafe class Bf16
{
    private const int LaneCount = 16;
    private const ushort NotANumber = 0x7FC0;

    /// <summary>Rounds to nearest even; beyond the largest BF16 to infinity; any NaN to 0x7FC0.</summary>
    public static ushort FromSingle(float value)
    {
        if (float.IsNaN(value))
            return NotANumber;
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float ToSingle(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    /// <summary>Rounds each value as <see cref="FromSingle"/> does.</summary>
    public static void Round(ReadOnlySpan<float> source, Span<ushort> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, source.Length, nameof(destination));
        switch (CpuPaths.Best)
        {
            case CpuPath.Avx512:
                Round<Lanes512>(source, destination);
                break;
            case CpuPath.Avx2:
                Round<Lanes256>(source, destination);
                break;
            default:
                Round<LanesPortable>(source, destination);
                break;
        }
    }

    /// <summary>Widens each value; exact.</summary>
    public static void Widen(ReadOnlySpan<ushort> source, Span<float> destination)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(destination.Length, source.Length, nameof(destination));
        switch (CpuPaths.Best)
        {
            case CpuPath.Avx512:
                Widen<Lanes512>(source, destination);
                break;
            case CpuPath.Avx2:
                Widen<Lanes256>(source, destination);
                break;
            default:
                Widen<LanesPortable>(source, destination);
                break;
        }
    }

    internal static void Round<TLanes>(ReadOnlySpan<float> source, Span<ushort> destination)
        where TLanes : struct, ILanes<TLanes>
    {
        int i = 0;
        fixed (float* from = source)
        fixed (ushort* to = destination)
        {
            for (; i + LaneCount <= source.Length; i += LaneCount)
                TLanes.StoreBf16(TLanes.Load(from + i), to + i);
        }

        for (; i < source.Length; i++)
            destination[i] = FromSingle(source[i]);
    }

    internal static void Widen<TLanes>(ReadOnlySpan<ushort> source, Span<float> destination)
        where TLanes : struct, ILanes<TLanes>
    {
        int i = 0;
        fixed (ushort* from = source)
        fixed (float* to = destination)
        {
            for (; i + LaneCount <= source.Length; i += LaneCount)
                TLanes.Store(TLanes.LoadBf16(from + i), to + i);
        }

        for (; i < source.Length; i++)
            destination[i] = ToSingle(source[i]);
    }
}
