using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Reports;
using ManagedCuda;

namespace K2Cluster.GpuCheck.Verification;

/// <summary>Runs every kernel of a target in every way and gathers what disagrees. After a kernel that failed, the rest is left.</summary>
internal sealed class Verifier(Gpu gpu, KernelSet kernels, CheckPlan plan, Progress progress, CancellationToken cancellation)
{
    private const int MostDisagreements = 20;

    private readonly SortedDictionary<string, VerifiedKernel> _kernels = [];
    private readonly List<Disagreement> _disagreements = [];

    public IReadOnlyCollection<VerifiedKernel> Kernels => _kernels.Values;

    public IReadOnlyList<Disagreement> Disagreements => _disagreements;

    /// <summary>What was not verified for want of memory.</summary>
    public List<string> LeftOut { get; } = [];

    public void Run()
    {
        Copies();
        foreach (VerifiedShape shape in plan.Verified)
        {
            foreach (WeightKind kind in shape.Kinds)
            {
                if (_disagreements.Count >= MostDisagreements)
                    return;
                Layer(shape, kind);
            }
        }
    }

    private void Copies()
    {
        foreach (int bytes in (int[])[16, 4096, 100_000 / 16 * 16, 1 << 20])
        {
            using CudaDeviceVariable<byte> from = new(bytes);
            using CudaDeviceVariable<byte> to = new(bytes + 256);
            byte[] expected = new byte[bytes];
            new Random(bytes).NextBytes(expected);
            from.CopyToDevice(expected);
            to.Memset(0xA5);
            kernels.Run("k2_copy", new LaunchPlan(0, 256, 0, 0), gpu.Multiprocessors, from.DevicePointer, to.DevicePointer, (ulong)bytes);
            Count("k2_copy", 1, 0);
            byte[] actual = new byte[bytes + 256];
            to.CopyToHost(actual);
            int at = actual.AsSpan().CommonPrefixLength(expected);
            if (at < bytes || actual.AsSpan(bytes).ContainsAnyExcept((byte)0xA5))
            {
                _disagreements.Add(new Disagreement(kernels.Target, "k2_copy", $"{bytes} bytes", at < bytes ? $"byte {at} is another" : "it wrote behind the end"));
                return;
            }
        }
    }

    private void Layer(VerifiedShape shape, WeightKind kind)
    {
        IReadOnlyList<Load> loads = shape.Loads(kind);
        int rows = loads.Max(load => load.Rows);
        long pairs = loads.Max(load => load.Pairs.Length);
        long bytes = ((shape.Held.Count + 1) * shape.Sizes.SlotBytes) + (2 * rows * (long)shape.Sizes.Hidden) + (2 * pairs * (shape.Sizes.Hidden + shape.Sizes.Intermediate));
        if (bytes > gpu.FreeBytes)
        {
            LeftOut.Add($"verification of {shape.Sizes}: {bytes} bytes of memory, and {gpu.FreeBytes} are free");
            return;
        }

        using VerifiedLayer layer = new(gpu, kernels, shape.Sizes, kind, shape.Held, rows, shape.Sample);
        Disagreement? found = null;
        try
        {
            found = layer.Shuffle();
            foreach (Load load in loads)
            {
                foreach (Variant variant in shape.Variants)
                {
                    cancellation.ThrowIfCancellationRequested();
                    found ??= layer.Run(load, variant);
                }
            }
        }
        finally
        {
            foreach ((string kernel, int launches) in layer.Launches)
            {
                double worst = kernel.StartsWith("k2_gate_up", StringComparison.Ordinal) ? layer.Known.Worst.GateUp : kernel.StartsWith("k2_down", StringComparison.Ordinal) ? layer.Known.Worst.Down : 0;
                Count(kernel, launches, worst);
            }
        }

        if (found is not null)
            _disagreements.Add(found);
        progress.Say($"{kernels.Target} {shape.Sizes}, {kind}: {(found is null ? $"agrees, error {Math.Max(layer.Known.Worst.GateUp, layer.Known.Worst.Down):0.0e+0}" : $"DISAGREES: {found.Kernel}: {found.What}")}");
    }

    private void Count(string kernel, int launches, double worst)
    {
        VerifiedKernel before = _kernels.GetValueOrDefault(kernel) ?? new VerifiedKernel(kernels.Target, kernel, 0, 0);
        _kernels[kernel] = before with { Launches = before.Launches + launches, WorstError = Math.Max(before.WorstError, worst) };
    }
}
