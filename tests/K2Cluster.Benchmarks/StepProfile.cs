using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Cli;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk;
using K2Cluster.Trunk.Steps;

namespace K2Cluster.Benchmarks;

/// <summary>
/// Whole steps of a random model of the shape bench-4b, trunk and experts on the same threads: the best of several runs by
/// phase, beside what reading the same weights takes in the same run.
/// </summary>
internal sealed class StepProfile : IDisposable
{
    private const int MaxRows = 512;
    private const int Pages = 1280;

    private readonly SyntheticCheckpoint _model = new(SyntheticShape.Presets["bench-4b"] with { Context = 1 << 17 }, seed: 1);
    private readonly CpuCompute _compute = new(Environment.ProcessorCount, CpuPaths.Best);
    private readonly CpuExpertDevice _device;
    private readonly LocalExperts _experts;
    private readonly CpuTrunk _trunk;
    private readonly TrunkBatch _batch = new();
    private readonly TrunkResult _result = new();
    private readonly long _trunkBytes;

    private StepProfile()
    {
        using ITensorSource weights = _model.CreateSource();
        _device = new CpuExpertDevice(_model.Config, new TensorCatalog(_model.Config), long.MaxValue, _compute);
        LayerRange layers = new(0, _model.Config.LayerCount);
        long start = Stopwatch.GetTimestamp();
        Parallel.For(0, _model.Config.LayerCount * _model.Config.RoutedExperts, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            (int layer, int expert) = (i / _model.Config.RoutedExperts, i % _model.Config.RoutedExperts);
            if (_model.Config.IsMoeLayer(layer))
                _device.Load(new ExpertKey(layer, expert), weights);
        });
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"experts: {_device.UsedBytes / 1e9 / Stopwatch.GetElapsedTime(start).TotalSeconds:F2} GB/s"));
        _experts = new LocalExperts(_device, MaxRows, _model.Config.ExpertsPerToken);
        start = Stopwatch.GetTimestamp();
        long read = 0;
        _trunk = CpuTrunk.Load(
            _model.Config, weights, _compute, _experts, new TrunkOptions { MaxRows = MaxRows, KvMemoryBytes = Pages * CpuTrunk.KvPageBytes(_model.Config, layers) },
            progress => read = progress.Bytes);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"trunk: {read / 1e9 / Stopwatch.GetElapsedTime(start).TotalSeconds:F2} GB/s"));
        _trunkBytes = read - (2L * _model.Config.VocabularySize * _model.Config.HiddenSize);
        FillKv();
    }

    /// <param name="scenarios">Of "rows:context", as 1:64 or 512:0; rows at context 0 are one prompt, else each is a sequence.</param>
    public static void Print(string[] scenarios)
    {
        using StepProfile profile = new();
        using ReadCeiling ceiling = new(1L << 29, Environment.ProcessorCount);
        StepPhase[] phases = Enum.GetValues<StepPhase>();
        Console.WriteLine($"| rows:context | ms | tokens/s | GB/s | of the ceiling, GB/s | {string.Join(" | ", phases)} |");
        Console.WriteLine($"|---|--:|--:|--:|--:|{string.Concat(phases.Select(_ => "--:|"))}");
        foreach (string scenario in scenarios.Length > 0 ? scenarios : ["1:64", "1:4096", "16:64", "512:0"])
        {
            int[] parts = [.. scenario.Split(':').Select(part => int.Parse(part, CultureInfo.InvariantCulture))];
            profile.PrintScenario(scenario, parts[0], parts[1], phases, ceiling);
        }
    }

    public void Dispose()
    {
        _trunk.Dispose();
        _experts.Dispose();
        _device.Dispose();
        _compute.Dispose();
    }

    private void PrintScenario(string name, int rows, int context, StepPhase[] phases, ReadCeiling ceiling)
    {
        StepTimes times = new();
        double best = double.MaxValue;
        double[] bestPhases = new double[phases.Length];
        long start = Stopwatch.GetTimestamp();
        for (int run = 0; run < 400 && (run < 3 || Stopwatch.GetElapsedTime(start).TotalSeconds < 5); run++)
        {
            Fill(rows, context, seed: run % 16);
            _trunk.Times = run < 2 ? null : times;
            long before = Stopwatch.GetTimestamp();
            _trunk.Run(_batch, new LayerRange(0, _trunk.LayerCount), _result);
            double elapsed = Stopwatch.GetElapsedTime(before).TotalMilliseconds;
            if (run >= 2 && elapsed < best)
            {
                best = elapsed;
                for (int i = 0; i < phases.Length; i++)
                    bestPhases[i] = times[phases[i]].TotalMilliseconds;
            }
        }

        ceiling.Measure();
        double rate = Bytes(rows, context) / 1e6 / best;
        string columns = string.Join(" | ", bestPhases.Select(ms => ms.ToString("F2", CultureInfo.InvariantCulture)));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {best:F2} | {rows * 1000 / best:F1} | {rate:F1} | {ceiling.BytesPerSecond / 1e9:F1} | {columns} |"));
    }

    /// <summary>Weights and KV that a step reads once: experts as if rows chose evenly.</summary>
    private double Bytes(int rows, int context)
    {
        int experts = _model.Config.RoutedExperts;
        double distinct = experts * (1 - Math.Pow(1 - ((double)_model.Config.ExpertsPerToken / experts), rows));
        int sequences = context == 0 ? 1 : rows;
        return _trunkBytes
            + (distinct * _device.ExpertBytes * Enumerable.Range(0, _model.Config.LayerCount).Count(_model.Config.IsMoeLayer))
            + ((double)sequences * context * CpuTrunk.KvPageBytes(_model.Config, new LayerRange(0, _trunk.LayerCount)) / ITrunk.PageTokens);
    }

    private void Fill(int rows, int context, int seed)
    {
        Random random = new(seed);
        _batch.Clear();
        int sequences = context == 0 ? 1 : rows;
        int count = rows / sequences;
        int pages = (context + count + ITrunk.PageTokens - 1) / ITrunk.PageTokens;
        for (int sequence = 0; sequence < sequences; sequence++)
        {
            _batch.Sequences.Add(new SequenceSlice(_batch.Rows, count, _batch.PageTable.Count, pages));
            for (int page = 0; page < pages; page++)
                _batch.PageTable.Add((_batch.PageTable.Count * 7) % _trunk.PageCount);
            for (int i = 0; i < count; i++)
            {
                _batch.Tokens.Add(random.Next(_trunk.VocabularySize));
                _batch.Positions.Add(context + i);
                _batch.NeedsLogits.Add(i == count - 1);
            }
        }
    }

    private unsafe void FillKv()
    {
        Random random = new(5);
        ushort[] page = new ushort[ITrunk.PageTokens * _trunk.Memory.TokenWidth];
        for (int i = 0; i < page.Length; i++)
            page[i] = Bf16.FromSingle(random.NextSingle() - 0.5f);
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes<ushort>(page);
        for (int layer = 0; layer < _trunk.LayerCount; layer++)
        {
            for (int i = 0; i < _trunk.PageCount; i++)
                bytes.CopyTo(new Span<byte>(_trunk.Memory.Page(layer, i), bytes.Length));
        }
    }
}
