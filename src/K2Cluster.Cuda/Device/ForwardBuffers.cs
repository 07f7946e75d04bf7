using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>Where the buffers of a forward lie in device memory, as kernels/README.md names them. One for each work, by which they are told apart.</summary>
internal sealed class ForwardBuffers
{
    public required CUdeviceptr Header { get; init; }

    public required CUdeviceptr PairRows { get; init; }

    public required CUdeviceptr PairExperts { get; init; }

    public required CUdeviceptr Hidden { get; init; }

    public required CUdeviceptr SlotOf { get; init; }

    public required CUdeviceptr SlotAddresses { get; init; }

    public required CUdeviceptr Order { get; init; }

    public required CUdeviceptr RowOf { get; init; }

    public required CUdeviceptr Blocks { get; init; }

    public required CUdeviceptr Counts { get; init; }

    public required CUdeviceptr Statuses { get; init; }

    public required CUdeviceptr Middle { get; init; }

    public required CUdeviceptr Outputs { get; init; }
}
