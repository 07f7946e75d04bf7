using System.Runtime.InteropServices;

namespace K2Cluster.Kernels.Matrices;

/// <summary>Zeroed native memory at a multiple of 64 bytes, freed with its handle.</summary>
internal sealed unsafe class AlignedMemory : SafeHandle
{
    private const nuint Alignment = 64;

    /// <exception cref="OutOfMemoryException">The system gives no more memory.</exception>
    public AlignedMemory(long bytes)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        nuint size = Math.Max((nuint)bytes, 1);
        Pointer = (byte*)NativeMemory.AlignedAlloc(size, Alignment);
        NativeMemory.Clear(Pointer, size);
        SetHandle((nint)Pointer);
    }

    public byte* Pointer { get; }

    public long Bytes { get; }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        return true;
    }
}
