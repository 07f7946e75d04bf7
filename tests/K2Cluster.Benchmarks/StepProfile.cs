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
/// Whole steps of a model, trunk and experts on the same threads: the best of several runs by phase, beside what reading the same weights takes in the same run.
/// </summary>
internal sealed class StepProfile : IDisposable
{
    private const int MaxRows = 512;
    private const int Pages = 1280;

    private readonly ModelConfig _config;
    private readonly CpuCompute _compute = new(Environment.ProcessorCount, CpuPaths.Best);
    private readonly CpuExpertDevice _device;
    private readonly LocalExperts _experts;
    private readonly CpuTrunk _trunk;
    private readonly TrunkBatch _batch = new();
    private readonly TrunkResult _result = new();
    private readonly long _trunkBytes;

    private StepProfile(ModelConfig config, ITensorSource weights)
    {
        _config = config;
        _device = new CpuExpertDevice(_config, new TensorCatalog(_config), long.MaxValue, _compute);
        LayerRange layers = new(0, _config.LayerCount);
        long start = Stopwatch.GetTimestamp();
        Parallel.For(0, _config.LayerCount * _config.RoutedExperts, new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount }, i =>
        {
            (int layer, int expert) = (i / _config.RoutedExperts, i % _config.RoutedExperts);
            if (_config.IsMoeLayer(layer))
                _device.Load(new ExpertKey(layer, expert), weights);
        });
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"experts: {_device.UsedBytes / 1e9 / Stopwatch.GetElapsedTime(start).TotalSeconds:F2} GB/s"));
        _experts = new LocalExperts(_device, MaxRows, _config.ExpertsPerToken);
        start = Stopwatch.GetTimestamp();
        long read = 0;
        _trunk = CpuTrunk.Load(
            _config, weights, _compute, _experts, new TrunkOptions { MaxRows = MaxRows, KvMemoryBytes = Pages * CpuTrunk.KvPageBytes(_config, layers) },
            progress => read = progress.Bytes);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"trunk: {read / 1e9 / Stopwatch.GetElapsedTime(start).TotalSeconds:F2} GB/s"));
        _trunkBytes = read - (2L * _config.VocabularySize * _config.HiddenSize);
        FillKv();
    }

    /// <param name="model">The directory of a checkpoint; null for a random one of the shape bench-4b.</param>
    /// <param name="scenarios">Of "rows:context", each row a sequence, or "rows@context", rows of one sequence: 1:64, 512@0.</param>
    public static void Print(string? model, string[] scenarios)
    {
        if (model is not null)
        {
            using ModelDirectory directory = ModelDirectory.Open(model);
            Print(directory.Config, directory.Tensors, scenarios);
            return;
        }

        SyntheticCheckpoint random = new(SyntheticShape.Presets["bench-4b"] with { Context = 1 << 17 }, seed: 1);
        using ITensorSource weights = random.CreateSource();
        Print(random.Config, weights, scenarios);
    }

    private static void Print(ModelConfig config, ITensorSource weights, string[] scenarios)
    {
        using StepProfile profile = new(config, weights);
        using ReadCeiling ceiling = new(1L << 29, Environment.ProcessorCount);
        StepPhase[] phases = Enum.GetValues<StepPhase>();
        Console.WriteLine($"| rows, context | ms | tokens/s | GB/s | of the ceiling, GB/s | {string.Join(" | ", phases)} |");
        Console.WriteLine($"|---|--:|--:|--:|--:|{string.Concat(phases.Select(_ => "--:|"))}");
        foreach (string scenario in scenarios.Length > 0 ? scenarios : ["1:64", "1:4096", "16:64", "512@0"])
        {
            int[] parts = [.. scenario.Split(':', '@').Select(part => int.Parse(part, CultureInfo.InvariantCulture))];
            profile.PrintScenario(scenario, parts[0], parts[1], scenario.Contains('@') ? 1 : parts[0], phases, ceiling);
        }
    }

    public void Dispose()
    {
        _trunk.Dispose();
        _experts.Dispose();
        _device.Dispose();
        _compute.Dispose();
    }

    private void PrintScenario(string name, int rows, int context, int sequences, StepPhase[] phases, ReadCeiling ceiling)
    {
        StepTimes times = new();
        double best = double.MaxValue;
        double[] bestPhases = new double[phases.Length];
        long start = Stopwatch.GetTimestamp();
        for (int run = 0; run < 400 && (run < 3 || Stopwatch.GetElapsedTime(start).TotalSeconds < 5); run++)
        {
            Fill(rows, context, sequences, seed: run % 16);
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
        double rate = Bytes(rows, context, sequences) / 1e6 / best;
        string columns = string.Join(" | ", bestPhases.Select(ms => ms.ToString("F2", CultureInfo.InvariantCulture)));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {name} | {best:F2} | {rows * 1000 / best:F1} | {rate:F1} | {ceiling.BytesPerSecond / 1e9:F1} | {columns} |"));
    }

    /// <summary>Weights and KV that a step reads once: experts as if rows chose evenly.</summary>
    private double Bytes(int rows, int context, int sequences)
    {
        int experts = _config.RoutedExperts;
        double distinct = experts * (1 - Math.Pow(1 - ((double)_config.ExpertsPerToken / experts), rows));
        return _trunkBytes
            + (distinct * _device.ExpertBytes * Enumerable.Range(0, _config.LayerCount).Count(_config.IsMoeLayer))
            + ((double)sequences * context * CpuTrunk.KvPageBytes(_config, new LayerRange(0, _trunk.LayerCount)) / ITrunk.PageTokens);
    }

    private void Fill(int rows, int context, int sequences, int seed)
    {
        Random random = new(seed);
        _batch.Clear();
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
