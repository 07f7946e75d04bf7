namespace ManagedCuda.BasicTypes;

/// <summary>A size as the driver counts it: bytes or elements, as wide as a pointer.</summary>
public readonly struct SizeT(nuint value) : IEquatable<SizeT>
{
    private readonly nuint _value = value;

    public static implicit operator SizeT(int value) => new(checked((nuint)value));

    public static implicit operator SizeT(uint value) => new(value);

    public static implicit operator SizeT(long value) => new(checked((nuint)value));

    public static implicit operator SizeT(ulong value) => new(checked((nuint)value));

    public static implicit operator int(SizeT value) => checked((int)value._value);

    public static implicit operator uint(SizeT value) => checked((uint)value._value);

    public static implicit operator long(SizeT value) => checked((long)value._value);

    public static implicit operator ulong(SizeT value) => value._value;

    public bool Equals(SizeT other) => _value == other._value;

    public override bool Equals(object? obj) => obj is SizeT other && Equals(other);

    public override int GetHashCode() => _value.GetHashCode();

    public override string ToString() => _value.ToString();
}
