using K2Cluster.GpuCheck.Reports;

namespace K2Cluster.GpuCheck.Measures;

/// <summary>Measures what fits the card and the time.</summary>
internal sealed class Measurer(Gpu gpu, CheckPlan plan, Progress progress, CancellationToken cancellation)
{
    /// <summary>BF16 experts are 3.6 times as large.</summary>
    private const int FewerBf16 = 6;

    private const int PrefillExperts = 8;

    public IReadOnlyList<CopyResult> Copies { get; private set; } = [];

    public double Ceiling { get; private set; }

    public List<KernelResult> Kernels { get; } = [];

    public List<LayerResult> Layers { get; } = [];

    public List<string> LeftOut { get; } = [];

    /// <param name="kernels">Of one target.</param>
    /// <param name="isBest">Of several targets, the one that a device takes: the other is measured at a few points.</param>
    public void Run(KernelSet kernels, bool isBest)
    {
        if (Copies.Count == 0)
        {
            Copies = CopyMeasure.Run(gpu, kernels, plan);
            Ceiling = Copies.Max(copy => copy.GBPerSecond);
            progress.Say($"copies {Ceiling:0} GB/s, read plus written");
        }

        Experts(kernels, plan.Int4, plan.Experts, isBest);
        Experts(kernels, plan.Bf16, Math.Max(2, plan.Experts / FewerBf16), isBest);
    }

    private void Experts(KernelSet kernels, ExpertSizes sizes, int wanted, bool isBest)
    {
        // A quarter stays for rows.
        int experts = (int)Math.Min(wanted, gpu.FreeBytes * 3 / 4 / sizes.SlotBytes);
        if (experts < wanted)
            LeftOut.Add($"{kernels.Target} {sizes}: {wanted} experts take {wanted * sizes.SlotBytes / 1e9:0.0} GB and {experts} of them fit");
        if (experts < 2)
            return;
        using MeasuredExperts measured = new(gpu, kernels, sizes, plan, Ceiling, experts);
        Kernels.Add(measured.Shuffle());
        IReadOnlyList<int> active = isBest ? plan.ActiveExperts : [.. plan.ActiveExperts.Take(1).Union(plan.ActiveExperts.TakeLast(1))];
        IReadOnlyList<int> rows = isBest ? plan.RowsPerExpert : [.. plan.RowsPerExpert.Take(1).Union(plan.RowsPerExpert.TakeLast(1))];
        foreach (int count in active.Where(count => count <= experts))
        {
            foreach (int each in rows)
                Products(measured, count, each);
            progress.Say($"{kernels.Target} {sizes}: {count} active experts measured");
        }

        foreach (int each in isBest ? plan.PrefillRows : [])
            Products(measured, Math.Min(PrefillExperts, experts), each);
        if (experts < wanted)
            return;
        foreach (int batch in plan.Batches)
        {
            if (IsLate($"{kernels.Target} {sizes.Format} layer at a batch of {batch}"))
                continue;
            if (sizes.IsInt4)
                Kernels.Add(measured.Route(batch));
            foreach (bool isLarge in isBest ? (bool[])[false, true] : [false])
                Layers.Add(measured.Layer(batch, isLarge));
            progress.Say($"{kernels.Target} {sizes.Format} layer, batch {batch}: {Layers[^1].Microseconds.Median:0} µs");
        }
    }

    private void Products(MeasuredExperts measured, int active, int rows)
    {
        // At 8 rows both kernels can do it.
        foreach (bool isLarge in rows < 8 ? (bool[])[false] : rows == 8 ? [false, true] : [true])
        {
            if (IsLate($"{active} active experts of {rows} rows"))
                return;
            if (measured.Products(active, rows, isLarge) is { } results)
                Kernels.AddRange(results);
            else
                LeftOut.Add($"{active} active experts of {rows} rows: there is no memory for the rows");
        }
    }

    private bool IsLate(string what)
    {
        cancellation.ThrowIfCancellationRequested();
        if (progress.Elapsed < plan.Budget)
            return false;
        LeftOut.Add($"{what}: {plan.Budget.TotalMinutes:0.0} minutes were over");
        return true;
    }
}
