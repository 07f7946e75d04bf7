namespace ManagedCuda.BasicTypes;

/// <summary>An address in device memory.</summary>
public struct CUdeviceptr(SizeT pointer) : IEquatable<CUdeviceptr>
{
    public SizeT Pointer = pointer;

    public static CUdeviceptr operator +(CUdeviceptr src, SizeT value) => new((ulong)src.Pointer + (ulong)value);

    public static bool operator ==(CUdeviceptr src, CUdeviceptr value) => src.Equals(value);

    public static bool operator !=(CUdeviceptr src, CUdeviceptr value) => !src.Equals(value);

    public readonly bool Equals(CUdeviceptr other) => (ulong)Pointer == (ulong)other.Pointer;

    public override readonly bool Equals(object? obj) => obj is CUdeviceptr other && Equals(other);

    public override readonly int GetHashCode() => ((ulong)Pointer).GetHashCode();

    public override readonly string ToString() => $"0x{(ulong)Pointer:x}";
}
