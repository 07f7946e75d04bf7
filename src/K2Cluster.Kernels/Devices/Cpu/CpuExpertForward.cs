using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// One forward call in four runs: prepare the hidden rows; gate, up and SwiGLU; prepare the intermediate rows; down. Threads
/// split (expert, blocks of 16 outputs), so that a call with one row keeps them all busy.
/// </summary>
internal static unsafe class CpuExpertForward
{
    private const int BlockRows = LaneMath.LaneCount;

    /// <summary>
    /// Parts for each thread: few, so that a thread reads long stretches of weights (one row of 8 experts, 2 threads: at most 8
    /// blocks a part gave 35 GB/s, 8 parts a thread give 41), and enough that threads end together.
    /// </summary>
    private const int ThreadParts = 8;

    /// <summary>Blocks of one part at most.</summary>
    private const int MaxPartBlocks = 64;

    /// <summary>About 5 µs of multiply-adds.</summary>
    private const long SmallProducts = 256 * 1024;

    public static void Run(CpuExpertWork work, CpuCompute compute, int hiddenSize, int intermediateSize, bool int4)
    {
        ExpertGroups groups = work.Groups;
        bool small = (long)groups.Pairs * hiddenSize * intermediateSize < SmallProducts;
        if (int4)
            compute.Run(new QuantizeHidden(work), work.Rows, small);
        else
            compute.Run(new WidenHidden(work), groups.Pairs, small);
        RunBlocks(work, compute, intermediateSize, output: false, small);
        if (int4)
            compute.Run(new QuantizeIntermediate(work), groups.Pairs, small);
        RunBlocks(work, compute, hiddenSize, output: true, small);

        Span<PairStatus> statuses = work.Statuses;
        foreach (int pair in groups.Order)
            statuses[pair] = PairStatus.Done;
    }

    private static void RunBlocks(CpuExpertWork work, CpuCompute compute, int size, bool output, bool small)
    {
        int groups = work.Groups.Count;
        int blocks = (size + BlockRows - 1) / BlockRows;
        int partBlocks = (int)Math.Clamp((long)groups * blocks / ((long)ThreadParts * compute.Threads), 1, MaxPartBlocks);
        int partsPerGroup = (blocks + partBlocks - 1) / partBlocks;
        compute.Run(new Blocks(work, output, blocks, partBlocks, partsPerGroup), groups * partsPerGroup, small);
    }

    /// <summary>A row is quantised once, whatever the number of its experts.</summary>
    private readonly struct QuantizeHidden(CpuExpertWork work) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => work.QuantizedHidden.Set<TLanes>(part, work.HiddenRow(part));
    }

    /// <summary>Puts the rows of an expert side by side, so that they form tiles.</summary>
    private readonly struct WidenHidden(CpuExpertWork work) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            ReadOnlySpan<ushort> row = work.HiddenRow(work.PairRows[work.Groups.Order[part]]);
            Bf16.Widen<TLanes>(row, new Span<float>(work.WideHidden(part), row.Length));
        }
    }

    private readonly struct Blocks(CpuExpertWork work, bool output, int blocks, int partBlocks, int partsPerGroup) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            int group = part / partsPerGroup;
            CpuExpert expert = work.Groups.Expert(group);
            int start = work.Groups.Start(group);
            int count = work.Groups.Start(group + 1) - start;
            int firstBlock = part % partsPerGroup * partBlocks;
            int endBlock = Math.Min(blocks, firstBlock + partBlocks);
            for (int block = firstBlock; block < endBlock; block++)
            {
                if (output)
                    expert.Output<TLanes>(work, start, count, block);
                else
                    expert.Intermediate<TLanes>(work, start, count, block);
            }
        }
    }

    private readonly struct QuantizeIntermediate(CpuExpertWork work) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => work.QuantizedIntermediate.Set<TLanes>(part, work.Intermediate(part));
    }
}
