using ManagedCuda.BasicTypes;

namespace ManagedCuda;

public class CudaException : Exception
{
    public CudaException() => throw null!;

    public CudaException(CUResult error) => throw null!;

    public CudaException(string message) => throw null!;

    public CudaException(string message, Exception exception) => throw null!;

    public CudaException(CUResult error, string message, Exception exception) => throw null!;

    public CUResult CudaError => throw null!;

    public string CudaInternalErrorName => throw null!;

    public string CudaInternalErrorDescription => throw null!;
}
