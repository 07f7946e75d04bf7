namespace ManagedCuda.BasicTypes;

public struct SizeT
{
    public SizeT(int value) => throw null!;

    public SizeT(uint value) => throw null!;

    public SizeT(long value) => throw null!;

    public SizeT(ulong value) => throw null!;

    public SizeT(nint value) => throw null!;

    public SizeT(nuint value) => throw null!;

    public static implicit operator int(SizeT t) => throw null!;

    public static implicit operator uint(SizeT t) => throw null!;

    public static implicit operator long(SizeT t) => throw null!;

    public static implicit operator ulong(SizeT t) => throw null!;

    public static implicit operator nint(SizeT t) => throw null!;

    public static implicit operator nuint(SizeT t) => throw null!;

    public static implicit operator SizeT(int value) => throw null!;

    public static implicit operator SizeT(uint value) => throw null!;

    public static implicit operator SizeT(long value) => throw null!;

    public static implicit operator SizeT(ulong value) => throw null!;

    public static implicit operator SizeT(nint value) => throw null!;

    public static implicit operator SizeT(nuint value) => throw null!;

    public static bool operator ==(SizeT val1, SizeT val2) => throw null!;

    public static bool operator !=(SizeT val1, SizeT val2) => throw null!;
}
