namespace K2Cluster.Cuda.Device;

/// <summary>
/// How a kernel is launched on a card: chosen once, from its shared memory and the model's sizes. No choice changes a bit of
/// the results. The formulas are those of kernels/README.md.
/// </summary>
/// <param name="RowsPerBlock">Rows of one expert that a block takes.</param>
/// <param name="Threads">Of a block.</param>
/// <param name="Stages">Pieces of weights that are under way for each warp.</param>
/// <param name="SharedBytes">Dynamic shared memory.</param>
internal readonly record struct LaunchPlan(int RowsPerBlock, int Threads, int Stages, int SharedBytes)
{
    private const int Warp = 32;

    /// <summary>Fewer stages than this leave the memory waiting: fewer threads with more are better.</summary>
    private const int GoodStages = 3;

    /// <summary>For up to 8 rows of an expert: rows and weights of a pair of row tiles lie in shared memory.</summary>
    /// <param name="isInt4">Or BF16.</param>
    /// <param name="inputs">H for gate_up, I for down.</param>
    /// <param name="mostRows">No more rows than this.</param>
    /// <param name="sharedBytes">What a block may have.</param>
    /// <param name="mostThreads">What a block may have.</param>
    /// <exception cref="NotSupportedException">Not even one row fits.</exception>
    public static LaunchPlan Small(bool isInt4, int inputs, int mostRows, int sharedBytes, int mostThreads)
    {
        int blocks = (inputs + ExpertShape.BlockInputs - 1) / ExpertShape.BlockInputs;
        int stageBytes = isInt4 ? 1152 : 1024;
        foreach (int leastStages in (ReadOnlySpan<int>)[GoodStages, 2])
        {
            for (int rows = mostRows; rows >= 1; rows /= 2)
            {
                for (int threads = Math.Min(512, mostThreads / 128 * 128); threads >= 128; threads /= 2)
                {
                    int fix = (rows * ((256 * blocks) + 64)) + 128 + (4096 * (threads / 128));
                    int stages = Math.Min(8, (sharedBytes - fix) / (stageBytes * (threads / Warp)));
                    if (stages >= leastStages)
                        return new LaunchPlan(rows, threads, stages, fix + (stages * stageBytes * (threads / Warp)));
                }
            }
        }

        throw TooSmall(sharedBytes, inputs);
    }

    /// <summary>For more rows, by tiles of 64.</summary>
    /// <exception cref="NotSupportedException">Not even the least tile fits.</exception>
    public static LaunchPlan Large(bool isInt4, int sharedBytes, int mostThreads)
    {
        (int warpBytes, int rowBytes) = isInt4 ? (2304, 256) : (4096, 128);
        for (int rows = 64; rows >= 8; rows /= 2)
        {
            for (int threads = Math.Min(256, mostThreads / Warp * Warp); threads >= Warp; threads /= 2)
            {
                int stageBytes = (warpBytes * (threads / Warp)) + (rowBytes * rows);
                int stages = Math.Min(4, sharedBytes / stageBytes);
                if (stages >= 2)
                    return new LaunchPlan(rows, threads, stages, stages * stageBytes);
            }
        }

        throw TooSmall(sharedBytes, 0);
    }

    /// <summary>For the sorting of pairs by expert, by one block.</summary>
    /// <exception cref="NotSupportedException">There are too many experts.</exception>
    public static LaunchPlan Route(int experts, int sharedBytes, int mostThreads)
    {
        for (int threads = Math.Min(512, mostThreads / Warp * Warp); threads >= Warp; threads -= Warp)
        {
            long shared = 4L * (((long)experts * ((threads / Warp) + 1)) + 128);
            if (shared <= sharedBytes)
                return new LaunchPlan(0, threads, 0, (int)shared);
        }

        throw new NotSupportedException($"{experts} experts of a layer are too many for {sharedBytes} bytes of shared memory.");
    }

    private static NotSupportedException TooSmall(int sharedBytes, int inputs) =>
        new($"{sharedBytes} bytes of shared memory are too few for rows of {inputs} inputs.");
}
