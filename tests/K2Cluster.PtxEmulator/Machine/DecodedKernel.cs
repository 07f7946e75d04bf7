using System.Runtime.InteropServices;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Machine;

/// <summary>Registers of an instruction that are checked at run time, as numbers among the tracked ones.</summary>
/// <param name="IsCopy">A move: it passes on whether its source was written, and does not ask.</param>
/// <param name="Guard">The guard, or -1.</param>
internal sealed record Tracking(int[] Reads, int[] Writes, bool IsCopy, int Guard);

/// <summary>A special register that lives in the register file.</summary>
internal readonly record struct SpecialRegister(string Name, int Offset);

/// <summary>A kernel ready to run: instructions with handlers, and the layout of a warp's registers.</summary>
internal sealed unsafe class DecodedKernel : IDisposable
{
    public required PtxKernel Kernel { get; init; }

    /// <summary>One more than the statements: the end of the text returns.</summary>
    public required Instruction* Code { get; init; }

    /// <summary>A warp's registers, constants filled in.</summary>
    public required byte[] Constants { get; init; }

    public int RegisterBytes => Constants.Length;

    /// <summary>Offsets of registers that instructions with vectors of them name.</summary>
    public required int[] Vectors { get; init; }

    public required SpecialRegister[] Special { get; init; }

    public required Tracking?[] Tracking { get; init; }

    public required string[] TrackedNames { get; init; }

    public int TrackedRegisters => TrackedNames.Length;

    /// <summary>Of variables in shared memory, before the dynamic part.</summary>
    public required int StaticSharedBytes { get; init; }

    public required int SharedGranule { get; init; }

    /// <summary>It has atomic operations on device memory, whose order blocks in parallel would leave open.</summary>
    public required bool HasGlobalAtomics { get; init; }

    public void FillSpecial(Warp warp)
    {
        ThreadBlock block = warp.Block;
        Dim3 size = block.Shape.Block;
        Dim3 grid = block.Shape.Grid;
        foreach (SpecialRegister special in Special)
        {
            uint* lanes = (uint*)(warp.Registers + special.Offset);
            for (int lane = 0; lane < 32; lane++)
            {
                int thread = (32 * warp.Number) + lane;
                lanes[lane] = special.Name switch
                {
                    "%tid.x" => (uint)(thread % size.X),
                    "%tid.y" => (uint)(thread / size.X % size.Y),
                    "%tid.z" => (uint)(thread / size.X / size.Y),
                    "%ntid.x" => (uint)size.X,
                    "%ntid.y" => (uint)size.Y,
                    "%ntid.z" => (uint)size.Z,
                    "%ctaid.x" => (uint)block.Place.X,
                    "%ctaid.y" => (uint)block.Place.Y,
                    "%ctaid.z" => (uint)block.Place.Z,
                    "%nctaid.x" => (uint)grid.X,
                    "%nctaid.y" => (uint)grid.Y,
                    "%nctaid.z" => (uint)grid.Z,
                    "%laneid" => (uint)lane,
                    "%warpid" => (uint)warp.Number,
                    "%nwarpid" => Warp.MaxPerBlock,
                    "%smid" => (uint)block.Index,
                    "%nsmid" => (uint)grid.Count,
                    "%lanemask_eq" => 1u << lane,
                    "%lanemask_lt" => (1u << lane) - 1,
                    "%lanemask_le" => (2u << lane) - 1,
                    "%lanemask_gt" => ~((2u << lane) - 1),
                    "%lanemask_ge" => ~((1u << lane) - 1),
                    "%dynamic_smem_size" => (uint)block.Shape.SharedBytes,
                    _ => (uint)block.SharedBytes,
                };
            }
        }
    }

    public void Dispose() => NativeMemory.AlignedFree(Code);
}
