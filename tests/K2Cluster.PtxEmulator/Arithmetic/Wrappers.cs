using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>16 bits, in lanes of 32 bits that hold them zero-extended.</summary>
internal static class Word16
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Low(Vector512<uint> value) => value & Vector512.Create(0xFFFFu);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<int> Extend(Vector512<uint> value) => (value.AsInt32() << 16) >> 16;
}

internal readonly struct Unary16<TOperation> : IUnary<uint>
    where TOperation : IUnary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a) => Word16.Low(TOperation.Apply(a));
}

internal readonly struct SignedUnary16<TOperation> : IUnary<uint>
    where TOperation : IUnary<int>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a) => Word16.Low(TOperation.Apply(Word16.Extend(a)).AsUInt32());
}

internal readonly struct Binary16<TOperation> : IBinary<uint>
    where TOperation : IBinary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b) => Word16.Low(TOperation.Apply(a, b));
}

internal readonly struct SignedBinary16<TOperation> : IBinary<uint>
    where TOperation : IBinary<int>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b) =>
        Word16.Low(TOperation.Apply(Word16.Extend(a), Word16.Extend(b)).AsUInt32());
}

internal readonly struct Ternary16<TOperation> : ITernary<uint>
    where TOperation : ITernary<uint>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b, Vector512<uint> c) => Word16.Low(TOperation.Apply(a, b, c));
}

internal readonly struct SignedCompare16<TCompare> : ICompare<uint>
    where TCompare : ICompare<int>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<uint> Apply(Vector512<uint> a, Vector512<uint> b) => TCompare.Apply(Word16.Extend(a), Word16.Extend(b)).AsUInt32();
}

/// <summary>FP32 results as PTX has them: any NaN is 0x7FFFFFFF.</summary>
internal static class Floats
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Canonical(Vector512<float> value) =>
        Vector512.ConditionalSelect(Vector512.Equals(value, value), value, Vector512.Create(0x7FFFFFFFu).AsSingle());

    /// <summary>.ftz: subnormals become zeros of their sign.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Flush(Vector512<float> value)
    {
        Vector512<uint> bits = value.AsUInt32();
        Vector512<uint> normal = Vector512.GreaterThan(bits & Vector512.Create(0x7FFFFFFFu), Vector512.Create(0x007FFFFFu));
        return (bits & (normal | Vector512.Create(0x80000000u))).AsSingle();
    }

    /// <summary>.sat: into [0, 1], NaN to +0.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Saturate(Vector512<float> value) =>
        Vector512.MinNumber(Vector512.MaxNumber(value, Vector512<float>.Zero), Vector512<float>.One);
}

internal readonly struct Canonical<TOperation> : IUnary<float>
    where TOperation : IUnary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a) => Floats.Canonical(TOperation.Apply(a));
}

internal readonly struct CanonicalBinary<TOperation> : IBinary<float>
    where TOperation : IBinary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => Floats.Canonical(TOperation.Apply(a, b));
}

internal readonly struct CanonicalTernary<TOperation> : ITernary<float>
    where TOperation : ITernary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Floats.Canonical(TOperation.Apply(a, b, c));
}

internal readonly struct FlushUnary<TOperation> : IUnary<float>
    where TOperation : IUnary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a) => Floats.Flush(TOperation.Apply(Floats.Flush(a)));
}

internal readonly struct FlushBinary<TOperation> : IBinary<float>
    where TOperation : IBinary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => Floats.Flush(TOperation.Apply(Floats.Flush(a), Floats.Flush(b)));
}

internal readonly struct FlushTernary<TOperation> : ITernary<float>
    where TOperation : ITernary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b, Vector512<float> c) =>
        Floats.Flush(TOperation.Apply(Floats.Flush(a), Floats.Flush(b), Floats.Flush(c)));
}

internal readonly struct FlushCompare<TCompare> : ICompare<float>
    where TCompare : ICompare<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => TCompare.Apply(Floats.Flush(a), Floats.Flush(b));
}

internal readonly struct SaturateBinary<TOperation> : IBinary<float>
    where TOperation : IBinary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b) => Floats.Saturate(TOperation.Apply(a, b));
}

internal readonly struct SaturateTernary<TOperation> : ITernary<float>
    where TOperation : ITernary<float>
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Apply(Vector512<float> a, Vector512<float> b, Vector512<float> c) => Floats.Saturate(TOperation.Apply(a, b, c));
}
