using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck.Verification;

/// <summary>What the route must have written: pairs sorted by expert, stable, cut into blocks; those of experts without a slot, and of rows or experts that there are not, said so and left out.</summary>
internal static class RouteOracle
{
    public const byte Done = 1;
    public const byte NotHeld = 2;
    public const byte Failed = 3;

    /// <summary>A block as the kernels read it (kernels/README.md).</summary>
    public readonly record struct Block(ulong Slot, int First, int Rows);

    /// <summary>The place of each pair, -1 for none.</summary>
    public static int[] Places(Load load, int experts, Func<int, bool> isHeld, out int[] order)
    {
        order = [.. Enumerable.Range(0, load.Pairs.Length).Where(pair => !load.IsStray(pair, experts) && isHeld(load.Pairs[pair].Expert)).OrderBy(pair => load.Pairs[pair].Expert)];
        int[] places = new int[load.Pairs.Length];
        Array.Fill(places, -1);
        for (int place = 0; place < order.Length; place++)
            places[order[place]] = place;
        return places;
    }

    /// <summary>Null when all is well; otherwise what is not.</summary>
    public static string? Check(Load load, int experts, int[] expectedOrder, int rowsPerBlock, Func<int, CUdeviceptr?> slotOf, int[] counts, int[] order, int[] rowOf, Block[] blocks, byte[] status)
    {
        if (counts[1] != expectedOrder.Length)
            return $"it placed {counts[1]} pairs, not {expectedOrder.Length}";
        for (int pair = 0; pair < load.Pairs.Length; pair++)
        {
            byte expected = load.IsStray(pair, experts) ? Failed : slotOf(load.Pairs[pair].Expert) is null ? NotHeld : Done;
            if (status[pair] != expected)
                return $"the status of pair {pair} is {status[pair]}, not {expected}";
        }

        for (int place = 0; place < expectedOrder.Length; place++)
        {
            int pair = expectedOrder[place];
            if (order[place] != pair || rowOf[place] != load.Pairs[pair].Row)
                return $"at place {place} is pair {order[place]} with row {rowOf[place]}, not pair {pair} with row {load.Pairs[pair].Row}";
        }

        return CheckBlocks(load, expectedOrder, rowsPerBlock, slotOf, counts[0], blocks);
    }

    private static string? CheckBlocks(Load load, int[] order, int rowsPerBlock, Func<int, CUdeviceptr?> slotOf, int count, Block[] blocks)
    {
        int least = order.GroupBy(pair => load.Pairs[pair].Expert).Sum(same => (same.Count() + rowsPerBlock - 1) / rowsPerBlock);
        if (count != least)
            return $"it made {count} blocks, not {least}";
        int place = 0;
        for (int i = 0; i < count; i++)
        {
            Block block = blocks[i];
            if (block.First != place || block.Rows < 1 || block.Rows > rowsPerBlock || block.Rows > order.Length - place)
                return $"block {i} has {block.Rows} rows from place {block.First} on, where {place} is next and {rowsPerBlock} rows are the most";
            int expert = load.Pairs[order[place]].Expert;
            if (load.Pairs[order[place + block.Rows - 1]].Expert != expert)
                return $"block {i} has rows of more than one expert";
            if (block.Slot != (ulong)slotOf(expert)!.Value.Pointer)
                return $"block {i} has slot 0x{block.Slot:x}, and expert {expert} lies at {slotOf(expert)}";
            place += block.Rows;
        }

        return place == order.Length ? null : $"its blocks end at place {place} of {order.Length}";
    }
}
