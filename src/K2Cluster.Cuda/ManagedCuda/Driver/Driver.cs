using System.Runtime.InteropServices;
using ManagedCuda.BasicTypes;

namespace ManagedCuda;

internal sealed unsafe partial class Driver
{
    /// <summary>The driver's own name and text of an error; a number where there is no driver or it knows neither.</summary>
    public static (string Name, string Text) Explain(CUResult error)
    {
        byte* name = null;
        byte* text = null;
        if (DriverLibrary.Loaded is { } driver)
        {
            driver._getErrorName(error, &name);
            driver._getErrorString(error, &text);
        }

        return (
            Marshal.PtrToStringUTF8((nint)name) ?? $"CUDA error {(int)error}",
            Marshal.PtrToStringUTF8((nint)text) ?? error.ToString());
    }

    /// <exception cref="CudaException">There is no usable device, or the driver does not fit its kernel module.</exception>
    public void Initialize()
    {
        CUResult result = _init(0);
        if (result == CUResult.Success)
            return;

        // The driver explains this error, too, before it counts as loaded.
        byte* name = null;
        byte* text = null;
        _getErrorName(result, &name);
        _getErrorString(result, &text);
        throw new CudaException(result, $"cuInit failed with {Marshal.PtrToStringUTF8((nint)name) ?? result.ToString()}: {Marshal.PtrToStringUTF8((nint)text)}.", null);
    }
}
