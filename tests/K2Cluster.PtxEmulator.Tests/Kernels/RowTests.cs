using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Tests.Kernels;

/// <summary>A row's bits do not depend on the rows beside it: one reduction for an element, whichever kernel, block and place.</summary>
public sealed class RowTests
{
    /// <summary>Launched as the device does it for a GPU of 227 KiB a block, but for the grid.</summary>
    private static readonly (int Rows, bool Large)[] Launches = [(1, false), (8, false), (9, true), (64, true), (65, true)];

    private static readonly EmulatorOptions Unchecked = new() { CheckShared = false };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_row_has_the_same_bits_at_1_8_9_64_65_and_4096_rows(bool bf16)
    {
        ExpertCase work = new() { Bf16 = bf16, Hidden = 64, Intermediate = 96, Experts = 2, Stages = 8 };
        AssertSame(work, [.. Launches, (65, false), (4096, true)]);
    }

    /// <summary>
    /// K2's inputs of each product at a time, 7,168 and 2,048, with the shared memory, threads and stages of an H100: all of K and its parts, and
    /// as many outputs of that product as an emulator does in seconds: 32 of 2,048 columns of gate_up, 32 of 7,168 of down.
    /// </summary>
    [Theory]
    [InlineData(7168, 32, 5, false)]
    [InlineData(7168, 32, 5, true)]
    [InlineData(32, 2048, 8, false)]
    [InlineData(32, 2048, 8, true)]
    public void A_row_has_the_same_bits_over_the_inputs_of_K2(int hidden, int intermediate, int stages, bool bf16)
    {
        ExpertCase work = new() { Bf16 = bf16, Hidden = hidden, Intermediate = intermediate, Experts = 2, Stages = stages };
        AssertSame(work, Launches);
    }

    private static void AssertSame(ExpertCase work, (int Rows, bool Large)[] launches)
    {
        ushort[][]? alone = null;
        foreach ((int rows, bool large) in launches.Reverse())
        {
            // The last row of the call comes first: a row lies elsewhere in each.
            (int Row, int Expert)[] pairs = [.. Enumerable.Range(0, rows).Select(i => (rows - 1 - i, 1))];
            ExpertRun run = ExpertRun.Run(
                large ? work with { Pairs = pairs, Large = true, RowsPerBlock = 64, Threads = 256, Stages = 4 } : work with { Pairs = pairs, RowsPerBlock = 8, Threads = 512 }, Unchecked);
            Assert.InRange(run.RelativeError(pairs: 9), 0, 3e-3);
            alone ??= [.. Enumerable.Range(0, rows).Select(row => run[rows - 1 - row].ToArray())];
            for (int row = 0; row < rows; row++)
                Assert.True(run[rows - 1 - row].SequenceEqual(alone[row]), $"row {row} of {rows}");
        }
    }
}
