using ManagedCuda.BasicTypes;

namespace ManagedCuda;

/// <summary>A call of the driver failed. The message has the driver's name of the error, its text, and the call.</summary>
public class CudaException : Exception
{
    public CudaException()
        : this(CUResult.ErrorUnknown)
    {
    }

    public CudaException(string message)
        : this(CUResult.ErrorUnknown, message, null)
    {
    }

    public CudaException(string message, Exception? exception)
        : this(CUResult.ErrorUnknown, message, exception)
    {
    }

    public CudaException(CUResult error)
        : this(error, Describe(error, null), null)
    {
    }

    public CudaException(CUResult error, string message, Exception? exception)
        : base(message, exception)
    {
        CudaError = error;
        (CudaInternalErrorName, CudaInternalErrorDescription) = Driver.Explain(error);
    }

    public CUResult CudaError { get; }

    /// <summary>As the driver names it: "CUDA_ERROR_ILLEGAL_ADDRESS".</summary>
    public string CudaInternalErrorName { get; }

    /// <summary>As the driver explains it: "an illegal memory access was encountered".</summary>
    public string CudaInternalErrorDescription { get; }

    /// <param name="result">What the driver answered.</param>
    /// <param name="call">The driver's function.</param>
    /// <param name="about">What it was called with, where that helps.</param>
    internal static void ThrowOnError(CUResult result, string call, string? about = null)
    {
        if (result != CUResult.Success)
            Throw(result, call, about);
    }

    private static void Throw(CUResult result, string call, string? about) =>
        throw new CudaException(result, Describe(result, about is null ? call : $"{call} ({about})"), null);

    private static string Describe(CUResult error, string? call)
    {
        (string name, string text) = Driver.Explain(error);
        return call is null ? $"{name}: {text}." : $"{call} failed with {name}: {text}.";
    }
}
