using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public sealed class PrimaryContext : CudaContext
{
    public PrimaryContext()
        : base(0) => throw null!;

    public PrimaryContext(int deviceId)
        : base(0) => throw null!;

    public PrimaryContext(CUdevice device)
        : base(0) => throw null!;

    public PrimaryContext(CUcontext ctx, CUdevice device, int deviceID)
        : base(0) => throw null!;

    public static void SetFlags(int deviceID, CUCtxFlags flags) => throw null!;

    public static void SetFlags(CUdevice device, CUCtxFlags flags) => throw null!;

    public static void GetState(int deviceID, ref CUCtxFlags flags, ref bool active) => throw null!;

    public static void GetState(CUdevice device, ref CUCtxFlags flags, ref bool active) => throw null!;

    public static void Reset(int deviceID) => throw null!;

    public static void Reset(CUdevice device) => throw null!;
}
