using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace K2Cluster.Kernels.Matrices;

/// <summary>Native memory at a multiple of 64 bytes, freed with its handle.</summary>
public sealed unsafe class AlignedMemory : SafeHandle
{
    private const nuint Alignment = 64;

    /// <param name="bytes">How many; 0 is allowed.</param>
    /// <param name="zeroed">Whether they are cleared, which makes the system provide them all now.</param>
    /// <exception cref="OutOfMemoryException">The system gives no more memory.</exception>
    public AlignedMemory(long bytes, bool zeroed = true)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        nuint size = Math.Max((nuint)bytes, 1);
        Pointer = (byte*)NativeMemory.AlignedAlloc(size, Alignment);
        if (zeroed)
            NativeMemory.Clear(Pointer, size);
        SetHandle((nint)Pointer);
    }

    [SuppressMessage("Naming", "CA1720", Justification = "It is one.")]
    public byte* Pointer { get; }

    public long Bytes { get; }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        NativeMemory.AlignedFree((void*)handle);
        return true;
    }
}
