using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>
/// The approximations of PTX, each by one deterministic formula that is nearer than the bound the instruction states: a kernel
/// that is right with these is right within the bound, and its bits are the same on every machine.
/// </summary>
internal readonly struct Exponential2 : ILaneUnary<float, float>
{
    public static float Apply(float a)
    {
        if (float.IsNaN(a))
            return BitConverter.UInt32BitsToSingle(Rounding.NotANumber);
        if (a >= 128)
            return float.PositiveInfinity;
        if (a < -150)
            return 0;
        double whole = Math.Round((double)a);
        double x = (a - whole) * 0.69314718055994530942;
        // exp(x) for |x| <= 0.35: the last term left out is 0.35^12/12! = 7e-15.
        double sum = 1;
        for (int n = 11; n >= 1; n--)
            sum = 1 + (x / n * sum);
        return (float)(sum * BitConverter.Int64BitsToDouble((long)(whole + 1023) << 52));
    }
}

internal readonly struct Reciprocal : IUnary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a) => Vector512<float>.One / a;
}

internal readonly struct ReciprocalRoot : ILaneUnary<float, float>
{
    public static float Apply(float a) => (float)(1 / Math.Sqrt(a));
}

internal readonly struct Logarithm2 : ILaneUnary<float, float>
{
    public static float Apply(float a) => (float)Math.Log2(a);
}

internal readonly struct Sine : ILaneUnary<float, float>
{
    public static float Apply(float a) => (float)Math.Sin(a);
}

internal readonly struct Cosine : ILaneUnary<float, float>
{
    public static float Apply(float a) => (float)Math.Cos(a);
}

internal readonly struct HyperbolicTangent : ILaneUnary<float, float>
{
    public static float Apply(float a) => (float)Math.Tanh(a);
}

/// <summary>.ftz around a function of one lane.</summary>
internal readonly struct FlushLane<TOperation> : ILaneUnary<float, float>
    where TOperation : ILaneUnary<float, float>
{
    public static float Apply(float a) => Flush(TOperation.Apply(Flush(a)));

    private static float Flush(float value) => float.IsSubnormal(value) ? MathF.CopySign(0, value) : value;
}

/// <summary>add, mul, fma of FP32 with .rz, .rm or .rp.</summary>
internal interface IRoundingMode
{
    static abstract char Mode { get; }
}

internal readonly struct TowardsZero : IRoundingMode
{
    public static char Mode => 'z';
}

internal readonly struct Downwards : IRoundingMode
{
    public static char Mode => 'm';
}

internal readonly struct Upwards : IRoundingMode
{
    public static char Mode => 'p';
}

internal readonly struct DirectedAdd<TMode> : ILaneBinary<float>
    where TMode : IRoundingMode
{
    public static float Apply(float a, float b) => Rounding.ToSingle(Rounding.AddToOdd(a, b), TMode.Mode);
}

internal readonly struct DirectedSubtract<TMode> : ILaneBinary<float>
    where TMode : IRoundingMode
{
    public static float Apply(float a, float b) => Rounding.ToSingle(Rounding.AddToOdd(a, -b), TMode.Mode);
}

internal readonly struct DirectedMultiply<TMode> : ILaneBinary<float>
    where TMode : IRoundingMode
{
    public static float Apply(float a, float b) => Rounding.ToSingle((double)a * b, TMode.Mode);
}

internal readonly struct DirectedFused<TMode> : ILaneTernary<float>
    where TMode : IRoundingMode
{
    public static float Apply(float a, float b, float c) => Rounding.ToSingle(Rounding.FusedToOdd(a, b, c), TMode.Mode);
}

/// <summary>
/// Two BF16 in a word: one operation on each, rounded once to nearest even. By way of FP32, which is the same but where FP32
/// comes to lie exactly between two BF16: there lane by lane.
/// </summary>
internal readonly struct FusedBf16x2 : ITernary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c)
    {
        Vector512<uint> upper = Vector512.Create(0xFFFF0000u);
        Vector512<float> low = Vector512.FusedMultiplyAdd((a << 16).AsSingle(), (b << 16).AsSingle(), (c << 16).AsSingle());
        Vector512<float> high = Vector512.FusedMultiplyAdd((a & upper).AsSingle(), (b & upper).AsSingle(), (c & upper).AsSingle());
        Vector512<uint> between = Vector512.Create(0x8000u);
        Vector512<uint> doubtful = Vector512.Equals(low.AsUInt32() & ~upper, between) | Vector512.Equals(high.AsUInt32() & ~upper, between);
        if (doubtful != Vector512<uint>.Zero)
            return LaneByLane(a, b, c);
        return (Round(high) << 16) | Round(low);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Round(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> rounded = (bits + Vector512.Create(0x7FFFu) + ((bits >> 16) & Vector512<uint>.One)) >> 16;
        return Vector512.ConditionalSelect(Vector512.Equals(value, value).AsUInt32(), rounded, Vector512.Create(0x7FFFu));
    }

    private static Vector512<uint> LaneByLane(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c)
    {
        Vector512<uint> result = default;
        for (int lane = 0; lane < Vector512<uint>.Count; lane++)
        {
            uint low = FusedBf16.Apply(a[lane] & 0xFFFF, b[lane] & 0xFFFF, c[lane] & 0xFFFF);
            result = result.WithElement(lane, low | (FusedBf16.Apply(a[lane] >> 16, b[lane] >> 16, c[lane] >> 16) << 16));
        }

        return result;
    }
}

internal readonly struct FusedBf16 : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c) => Rounding.ToBf16(Rounding.FusedToOdd(Bf16.Value(a), Bf16.Value(b), Bf16.Value(c)));
}

internal readonly struct AddBf16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Rounding.ToBf16(Rounding.AddToOdd(Bf16.Value(a), Bf16.Value(b)));
}

internal readonly struct SubtractBf16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Rounding.ToBf16(Rounding.AddToOdd(Bf16.Value(a), -Bf16.Value(b)));
}

internal readonly struct MultiplyBf16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Rounding.ToBf16((double)Bf16.Value(a) * Bf16.Value(b));
}

internal readonly struct SmallerBf16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Rounding.ToBf16(float.MinNumber(Bf16.Value(a), Bf16.Value(b)));
}

internal readonly struct LargerBf16 : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Rounding.ToBf16(float.MaxNumber(Bf16.Value(a), Bf16.Value(b)));
}

/// <summary>An operation on each half of a word.</summary>
internal readonly struct Halves<TOperation> : ILaneBinary<uint>
    where TOperation : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => TOperation.Apply(a & 0xFFFF, b & 0xFFFF) | (TOperation.Apply(a >> 16, b >> 16) << 16);
}

internal readonly struct AddHalf : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Bf16.FromHalf((Half)(Bf16.Half(a) + (double)Bf16.Half(b)));
}

internal readonly struct SubtractHalf : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Bf16.FromHalf((Half)(Bf16.Half(a) - (double)Bf16.Half(b)));
}

internal readonly struct MultiplyHalf : ILaneBinary<uint>
{
    public static uint Apply(uint a, uint b) => Bf16.FromHalf((Half)(Bf16.Half(a) * (double)Bf16.Half(b)));
}

internal readonly struct FusedHalf : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c) =>
        Bf16.FromHalf((Half)Rounding.AddToOdd(Bf16.Half(a) * (double)Bf16.Half(b), Bf16.Half(c)));
}

internal readonly struct FusedHalf2 : ILaneTernary<uint>
{
    public static uint Apply(uint a, uint b, uint c) => FusedHalf.Apply(a & 0xFFFF, b & 0xFFFF, c & 0xFFFF) | (FusedHalf.Apply(a >> 16, b >> 16, c >> 16) << 16);
}

/// <summary>The 16-bit formats.</summary>
internal static class Bf16
{
    public static float Value(uint bits) => BitConverter.UInt32BitsToSingle(bits << 16);

    public static float Half(uint bits) => (float)BitConverter.UInt16BitsToHalf((ushort)bits);

    public static uint FromHalf(Half value) => System.Half.IsNaN(value) ? 0x7FFFu : BitConverter.HalfToUInt16Bits(value);
}
