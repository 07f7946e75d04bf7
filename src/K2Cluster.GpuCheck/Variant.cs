using K2Cluster.Cuda.Device;

namespace K2Cluster.GpuCheck;

/// <summary>A way to launch the two products, which changes no bit.</summary>
/// <param name="IsLarge">The kernels for many rows of an expert, or for up to 8.</param>
/// <param name="RowsPerBlock">What the route cuts to.</param>
/// <param name="IsAlone">One block of threads for everything, where there would be one for each multiprocessor.</param>
internal sealed record Variant(bool IsLarge, int RowsPerBlock, bool IsAlone = false)
{
    public string Size => IsLarge ? "large" : "small";

    public override string ToString() => $"{Size}, {RowsPerBlock} rows a block{(IsAlone ? ", a grid of 1" : "")}";

    /// <summary>As the device launches it on this card; null where the card's shared memory is too small for so many rows.</summary>
    public (LaunchPlan GateUp, LaunchPlan Down)? Plan(Gpu gpu, ExpertSizes sizes)
    {
        if (IsLarge)
        {
            LaunchPlan large = LaunchPlan.Large(sizes.IsInt4, gpu.SharedBytes, gpu.MostThreads);
            return RowsPerBlock <= large.RowsPerBlock ? (large, large) : null;
        }

        LaunchPlan gateUp = LaunchPlan.Small(sizes.IsInt4, sizes.Hidden, RowsPerBlock, gpu.SharedBytes, gpu.MostThreads);
        LaunchPlan down = LaunchPlan.Small(sizes.IsInt4, sizes.Intermediate, RowsPerBlock, gpu.SharedBytes, gpu.MostThreads);
        return Math.Min(gateUp.RowsPerBlock, down.RowsPerBlock) == RowsPerBlock ? (gateUp, down) : null;
    }

    /// <summary>What a device takes on this card: as many rows as shared memory lets it.</summary>
    public static Variant Best(Gpu gpu, ExpertSizes sizes, bool isLarge)
    {
        for (int rows = isLarge ? 64 : 8; rows > 1; rows /= 2)
        {
            Variant variant = new(isLarge, rows);
            if (variant.Plan(gpu, sizes) is not null)
                return variant;
        }

        return new Variant(isLarge, 1);
    }
}
