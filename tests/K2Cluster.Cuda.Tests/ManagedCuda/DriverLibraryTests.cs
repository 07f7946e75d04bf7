using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Tests;

[Collection(nameof(DriverLibrary))]
public sealed unsafe class DriverLibraryTests : IDisposable
{
    private static readonly byte* Name = (byte*)Marshal.StringToCoTaskMemUTF8("CUDA_ERROR_MADE_UP");
    private static readonly byte* Text = (byte*)Marshal.StringToCoTaskMemUTF8("an error for this test");
    private static CUResult _init;

    public void Dispose() => DriverLibrary.Find = null;

    [Fact]
    public void A_machine_without_a_driver_says_so()
    {
        if (NativeLibrary.TryLoad("libcuda.so.1", out _))
            return; // where there is one, other tests speak with it

        DllNotFoundException thrown = Assert.Throws<DllNotFoundException>(CudaContextCount);

        Assert.Contains("no CUDA driver on this machine", thrown.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_driver_that_lacks_a_function_is_too_old()
    {
        DriverLibrary.Find = name => name == "cuGraphAddKernelNode_v2" ? 0 : Known(name);

        EntryPointNotFoundException thrown = Assert.Throws<EntryPointNotFoundException>(CudaContextCount);

        Assert.Equal("The CUDA driver has no cuGraphAddKernelNode_v2: a driver for CUDA 12.0 (525) or newer is needed.", thrown.Message);
    }

    [Fact]
    public void An_error_has_the_drivers_name_its_text_and_the_call()
    {
        DriverLibrary.Find = Known;
        _init = CUResult.Success;

        CudaException thrown = Assert.Throws<CudaException>(CudaContextCount);

        Assert.Equal("cuDeviceGetCount failed with CUDA_ERROR_MADE_UP: an error for this test.", thrown.Message);
        Assert.Equal(CUResult.ErrorIllegalAddress, thrown.CudaError);
        Assert.Equal(("CUDA_ERROR_MADE_UP", "an error for this test"), (thrown.CudaInternalErrorName, thrown.CudaInternalErrorDescription));
    }

    [Fact]
    public void A_driver_that_cannot_start_says_why_each_time()
    {
        DriverLibrary.Find = Known;
        _init = CUResult.ErrorSystemDriverMismatch;

        for (int i = 0; i < 2; i++)
        {
            CudaException thrown = Assert.Throws<CudaException>(CudaContextCount);
            Assert.Equal("cuInit failed with CUDA_ERROR_MADE_UP: an error for this test.", thrown.Message);
            Assert.Equal(CUResult.ErrorSystemDriverMismatch, thrown.CudaError);
        }
    }

    [Fact]
    public void What_crosses_to_the_driver_has_its_size()
    {
        Assert.Equal(72, sizeof(CudaKernelNodeParams));
        Assert.Equal(56, (int)Marshal.OffsetOf<CudaKernelNodeParams>(nameof(CudaKernelNodeParams.kern)));
        Assert.Equal(8, sizeof(CUdeviceptr));
        Assert.Equal(8, sizeof(SizeT));
        Assert.Equal(4, sizeof(CUdevice));
        Assert.Equal(8, Unsafe.SizeOf<CUgraphNode>());
    }

    private static object CudaContextCount() => CudaContext.GetDeviceCount();

    /// <summary>A driver in which all fails but what explains the failure.</summary>
    private static nint Known(string name) => name switch
    {
        "cuInit" => (nint)(delegate* unmanaged<uint, CUResult>)&Init,
        "cuGetErrorName" => (nint)(delegate* unmanaged<CUResult, byte**, CUResult>)&GetErrorName,
        "cuGetErrorString" => (nint)(delegate* unmanaged<CUResult, byte**, CUResult>)&GetErrorString,
        _ => (nint)(delegate* unmanaged<CUResult>)&Fail,
    };

    [UnmanagedCallersOnly]
    private static CUResult Init(uint flags) => _init;

    [UnmanagedCallersOnly]
    private static CUResult Fail() => CUResult.ErrorIllegalAddress;

    [UnmanagedCallersOnly]
    private static CUResult GetErrorName(CUResult error, byte** name)
    {
        *name = Name;
        return CUResult.Success;
    }

    [UnmanagedCallersOnly]
    private static CUResult GetErrorString(CUResult error, byte** text)
    {
        *text = Text;
        return CUResult.Success;
    }
}
