using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>Where an expert's matrices lie in device memory in the checkpoint's layout. Of a BF16 expert, the scales are nowhere.</summary>
internal readonly record struct StagedExpert(CUdeviceptr Gate, CUdeviceptr GateScales, CUdeviceptr Up, CUdeviceptr UpScales, CUdeviceptr Down, CUdeviceptr DownScales);
