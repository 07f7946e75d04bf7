using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Trunk.Rows;

/// <summary>Work on one row at a time; what a row gives depends on that row only.</summary>
internal interface IRowWork
{
    void Row<TLanes>(int row)
        where TLanes : struct, ILanes<TLanes>;
}

internal static class RowCompute
{
    /// <summary>Elements below which waking a thread costs more than it gives (a few µs of work).</summary>
    private const long SmallWork = 16 * 1024;

    /// <summary>Does rows 0..<paramref name="rows"/>−1 on the threads of the pool.</summary>
    /// <param name="compute">The pool.</param>
    /// <param name="work">What to do to a row.</param>
    /// <param name="rows">How many rows.</param>
    /// <param name="elements">About how many elements a row has, to tell small work from large.</param>
    public static void RunRows<TWork>(this CpuCompute compute, in TWork work, int rows, int elements)
        where TWork : struct, IRowWork
    {
        if (rows == 0)
            return;
        int parts = (long)rows * elements < SmallWork ? 1 : Math.Min(rows, 4 * compute.Threads);
        compute.Run(new RowParts<TWork>(work, rows, parts), parts);
    }

    private readonly struct RowParts<TWork>(TWork work, int rows, int parts) : ICpuWork
        where TWork : struct, IRowWork
    {
        private readonly TWork _work = work;

        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            int end = (int)((long)rows * (part + 1) / parts);
            for (int row = (int)((long)rows * part / parts); row < end; row++)
                _work.Row<TLanes>(row);
        }
    }
}
