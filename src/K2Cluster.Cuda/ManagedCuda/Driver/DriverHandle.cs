using System.Runtime.InteropServices;
using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>
/// Something that the driver made and that must be given back: memory, a module, a stream, an event, a graph. It is given
/// back once, in its own context, on whatever thread; what the driver then answers cannot be helped, after a sticky error it
/// is that error.
/// </summary>
internal sealed unsafe class DriverHandle : SafeHandle
{
    private readonly Driver _driver;
    private readonly delegate* unmanaged<nint, CUResult> _free;
    private readonly ContextHandle? _context;

    /// <param name="driver">Who made it.</param>
    /// <param name="value">What it made.</param>
    /// <param name="free">Gives it back.</param>
    public DriverHandle(Driver driver, nint value, delegate* unmanaged<nint, CUResult> free)
        : base(0, ownsHandle: true)
    {
        _driver = driver;
        _free = free;
        bool held = false;
        _context = ContextHandle.Current(driver);
        _context?.DangerousAddRef(ref held);
        SetHandle(value);
    }

    public override bool IsInvalid => handle == 0;

    /// <exception cref="ObjectDisposedException">It was given back.</exception>
    public nint Value
    {
        get
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            return handle;
        }
    }

    protected override bool ReleaseHandle()
    {
        bool pushed = _context is not null && _driver.CtxPushCurrent(_context.Context) == CUResult.Success;
        CUResult result = _free(handle);
        if (pushed)
        {
            CUcontext popped;
            _driver.CtxPopCurrent(&popped);
        }

        _context?.DangerousRelease();
        return result == CUResult.Success;
    }
}
