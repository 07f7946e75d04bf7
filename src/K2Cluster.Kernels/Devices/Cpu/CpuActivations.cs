namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>What INT4 experts are multiplied with on the CPU: rows of signed integers of so many bits, with a scale per group of 32.</summary>
public enum CpuActivations
{
    /// <summary>Relative error of a product 2e-5, far below that of its rounding to BF16.</summary>
    Bits16,

    /// <summary>Less work, relative error of a product 5e-3: bits of a kind of their own.</summary>
    Bits8,
}
