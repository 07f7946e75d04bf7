namespace K2Cluster.Kernels.Devices;

/// <summary>What a device is.</summary>
/// <param name="Name">For people: "cpu", "cuda:0 NVIDIA H100".</param>
/// <param name="Kind">Devices of one kind give equal bits: "cpu", "cpu-int8", or architecture and PTX hash (docs/adr/0005-numerics.md).</param>
/// <param name="WeightsBudget">Bytes of experts that the device may hold.</param>
public sealed record DeviceDescription(string Name, string Kind, long WeightsBudget);
