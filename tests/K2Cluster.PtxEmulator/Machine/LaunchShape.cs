namespace K2Cluster.PtxEmulator.Machine;

/// <summary>Sizes in three dimensions.</summary>
public readonly record struct Dim3(int X, int Y = 1, int Z = 1)
{
    public long Count => (long)X * Y * Z;

    public static implicit operator Dim3(int x) => new(x);

    public override string ToString() => $"{X}x{Y}x{Z}";
}

/// <summary>Blocks, threads of each, and bytes of dynamic shared memory.</summary>
public readonly record struct LaunchShape(Dim3 Grid, Dim3 Block, int SharedBytes = 0);

/// <summary>What a launch did.</summary>
/// <param name="Instructions">Executed by warps.</param>
/// <param name="LaneInstructions">The same, each counted once for every lane that executed it.</param>
public readonly record struct LaunchStatistics(long Instructions, long LaneInstructions);
