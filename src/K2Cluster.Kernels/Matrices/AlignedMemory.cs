using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace K2Cluster.Kernels.Matrices;

/// <summary>Native memory at a multiple of 64 bytes, freed with its handle.</summary>
public sealed unsafe partial class AlignedMemory : SafeHandle
{
    private const nuint Alignment = 64;
    private const nuint HugePage = 2 << 20;

    /// <param name="bytes">How many; 0 is allowed.</param>
    /// <param name="zeroed">Whether they are zero at first. The system provides most of them when they are first written, in either case.</param>
    /// <exception cref="OutOfMemoryException">The system gives no more memory.</exception>
    public AlignedMemory(long bytes, bool zeroed = true)
        : base(0, ownsHandle: true)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Bytes = bytes;
        nuint alignment = (nuint)bytes >= HugePage ? HugePage : Alignment;
        nuint size = checked((nuint)bytes + alignment);
        // Not AlignedAlloc and a clearing after it: memory that is fresh from the system is zero, and is best provided by all
        // the threads that write to it.
        SetHandle((nint)(zeroed ? NativeMemory.AllocZeroed(size) : NativeMemory.Alloc(size)));
        Pointer = (byte*)(((nuint)handle + alignment - 1) & ~(alignment - 1));
        if ((nuint)bytes >= HugePage && OperatingSystem.IsLinux())
            _ = AdviseHugePages(Pointer, (nuint)bytes / HugePage * HugePage, HugePageAdvice);
    }

    [SuppressMessage("Naming", "CA1720", Justification = "It is one.")]
    public byte* Pointer { get; }

    public long Bytes { get; }

    public override bool IsInvalid => handle == 0;

    /// <summary>MADV_HUGEPAGE.</summary>
    private static int HugePageAdvice => 14;

    protected override bool ReleaseHandle()
    {
        NativeMemory.Free((void*)handle);
        return true;
    }

    /// <summary>
    /// Whole huge pages in place of small ones, where the system has them on advice: loading into 4 KB pages spends most of its
    /// time in page faults (0.2 GB/s against 2 to 6 on a virtual machine), and reading from them misses the TLB more often.
    /// A refusal changes nothing else.
    /// </summary>
    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int AdviseHugePages(void* address, nuint length, int advice);
}
