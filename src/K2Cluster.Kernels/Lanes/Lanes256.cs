using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace K2Cluster.Kernels.Lanes;

/// <summary>Sixteen lanes in two AVX registers; needs AVX2 and FMA.</summary>
public readonly unsafe struct Lanes256 : ILanes<Lanes256>
{
    private readonly Vector256<float> _low;
    private readonly Vector256<float> _high;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Lanes256(Vector256<float> low, Vector256<float> high)
    {
        _low = low;
        _high = high;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private Lanes256(Vector256<uint> low, Vector256<uint> high)
    {
        _low = low.AsSingle();
        _high = high.AsSingle();
    }

    public static bool HoldsWideTile => false;

    public static Lanes256 Zero
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => new(Vector256<float>.Zero, Vector256<float>.Zero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Load(float* source) => new(Vector256.Load(source), Vector256.Load(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Store(Lanes256 value, float* destination)
    {
        Vector256.Store(value._low, destination);
        Vector256.Store(value._high, destination + 8);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Broadcast(float value)
    {
        Vector256<float> half = Vector256.Create(value);
        return new(half, half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Add(Lanes256 left, Lanes256 right) =>
        new(Avx.Add(left._low, right._low), Avx.Add(left._high, right._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Subtract(Lanes256 left, Lanes256 right) =>
        new(Avx.Subtract(left._low, right._low), Avx.Subtract(left._high, right._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Multiply(Lanes256 left, Lanes256 right) =>
        new(Avx.Multiply(left._low, right._low), Avx.Multiply(left._high, right._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Divide(Lanes256 left, Lanes256 right) =>
        new(Avx.Divide(left._low, right._low), Avx.Divide(left._high, right._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 FusedMultiplyAdd(Lanes256 left, Lanes256 right, Lanes256 addend) =>
        new(Fma.MultiplyAdd(left._low, right._low, addend._low), Fma.MultiplyAdd(left._high, right._high, addend._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Max(Lanes256 left, Lanes256 right) =>
        new(Avx.Max(left._low, right._low), Avx.Max(left._high, right._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Min(Lanes256 left, Lanes256 right) =>
        new(Avx.Min(left._low, right._low), Avx.Min(left._high, right._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Abs(Lanes256 value)
    {
        Vector256<uint> mask = Vector256.Create(0x7FFF_FFFFu);
        return new(value._low.AsUInt32() & mask, value._high.AsUInt32() & mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 Round(Lanes256 value) =>
        new(Avx.RoundToNearestInteger(value._low), Avx.RoundToNearestInteger(value._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 PowerOfTwo(Lanes256 exponent)
    {
        Vector256<int> bias = Vector256.Create(127);
        return new(
            ((Avx.ConvertToVector256Int32(exponent._low) + bias) << 23).AsSingle(),
            ((Avx.ConvertToVector256Int32(exponent._high) + bias) << 23).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Sum(Lanes256 value) => SumEight(Avx.Add(value._low, value._high));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadBf16(ushort* source) => new(
        Avx2.ConvertToVector256Int32(Vector128.Load(source)).AsUInt32() << 16,
        Avx2.ConvertToVector256Int32(Vector128.Load(source + 8)).AsUInt32() << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void StoreBf16(Lanes256 value, ushort* destination)
    {
        // The pack works within 128-bit halves: the permutation puts its four quarters back in order.
        Vector256<ushort> packed = Avx2.PackUnsignedSaturate(RoundBf16(value._low).AsInt32(), RoundBf16(value._high).AsInt32());
        Vector256.Store(Avx2.Permute4x64(packed.AsUInt64(), 0b11_01_10_00).AsUInt16(), destination);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LoadWords(uint* source) => new(Vector256.Load(source), Vector256.Load(source + 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 BroadcastWord(int word)
    {
        Vector256<float> half = Vector256.Create(word).AsSingle();
        return new(half, half);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 LowBf16(Lanes256 words) => new(words._low.AsUInt32() << 16, words._high.AsUInt32() << 16);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 HighBf16(Lanes256 words)
    {
        Vector256<uint> mask = Vector256.Create(0xFFFF_0000u);
        return new(words._low.AsUInt32() & mask, words._high.AsUInt32() & mask);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 And(Lanes256 left, Lanes256 right) =>
        new(left._low.AsUInt32() & right._low.AsUInt32(), left._high.AsUInt32() & right._high.AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 ShiftPairsRight(Lanes256 words, [ConstantExpected] byte shift) => new(
        Avx2.ShiftRightLogical(words._low.AsUInt16(), shift).AsSingle(),
        Avx2.ShiftRightLogical(words._high.AsUInt16(), shift).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 ShiftWordsRight(Lanes256 words, [ConstantExpected] byte shift) => new(
        Avx2.ShiftRightArithmetic(words._low.AsInt32(), shift).AsSingle(),
        Avx2.ShiftRightArithmetic(words._high.AsInt32(), shift).AsSingle());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MultiplyAddPairs(Lanes256 sum, Lanes256 pairs, int* word)
    {
        Vector256<short> factor = Vector256.Create(*word).AsInt16();
        return new(
            (sum._low.AsInt32() + Avx2.MultiplyAddAdjacent(pairs._low.AsInt16(), factor)).AsSingle(),
            (sum._high.AsInt32() + Avx2.MultiplyAddAdjacent(pairs._high.AsInt16(), factor)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 MultiplyAddBytes(Lanes256 sum, Lanes256 bytes, int* word)
    {
        Vector256<sbyte> factor = Vector256.Create(*word).AsSByte();
        return new(
            (sum._low.AsInt16() + Avx2.MultiplyAddAdjacent(bytes._low.AsByte(), factor)).AsSingle(),
            (sum._high.AsInt16() + Avx2.MultiplyAddAdjacent(bytes._high.AsByte(), factor)).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 SumPairs(Lanes256 pairs)
    {
        Vector256<short> ones = Vector256.Create((short)1);
        return new(
            Avx2.MultiplyAddAdjacent(pairs._low.AsInt16(), ones).AsSingle(),
            Avx2.MultiplyAddAdjacent(pairs._high.AsInt16(), ones).AsSingle());
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 AddWords(Lanes256 left, Lanes256 right) =>
        new(left._low.AsUInt32() + right._low.AsUInt32(), left._high.AsUInt32() + right._high.AsUInt32());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Lanes256 ConvertToSingle(Lanes256 words) =>
        new(Avx.ConvertToVector256Single(words._low.AsInt32()), Avx.ConvertToVector256Single(words._high.AsInt32()));

    /// <summary>The last three levels of the stated tree.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal static float SumEight(Vector256<float> value)
    {
        Vector128<float> four = Sse.Add(value.GetLower(), value.GetUpper());
        Vector128<float> two = Sse.Add(four, Sse.MoveHighToLow(four, four));
        return two.GetElement(0) + two.GetElement(1);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<uint> RoundBf16(Vector256<float> value)
    {
        Vector256<uint> bits = value.AsUInt32();
        Vector256<uint> rounded = (bits + Vector256.Create(0x7FFFu) + ((bits >> 16) & Vector256.Create(1u))) >> 16;
        Vector256<uint> number = Vector256.Equals(value, value).AsUInt32();
        return Vector256.ConditionalSelect(number, rounded, Vector256.Create(0x7FC0u));
    }
}
