using BenchmarkDotNet.Attributes;
using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Cli;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Benchmarks;

/// <summary>One INT4 expert of K2 (hidden 7168, intermediate 2048: 24.8 MB), or several of another model, going round experts that no cache holds.</summary>
[WeightBytes(ExpertBytes)]
public class Int4ExpertBenchmarks
{
    private const long ExpertBytes = 24_772_608;

    private CpuCompute _compute = null!;
    private CpuExpertDevice _device = null!;
    private ExpertWork _work = null!;
    private ReadCeiling _ceiling = null!;
    private int _next;

    [Params(1, 2, 4, 8, 16, 64)]
    public int Tokens { get; set; }

    [Params(CpuPath.Avx512, CpuPath.Avx2)]
    public CpuPath Path { get; set; }

    public int Threads { get; init; } = Environment.ProcessorCount;

    public int HiddenSize { get; init; } = 7168;

    public int IntermediateSize { get; init; } = 2048;

    /// <summary>Experts in memory.</summary>
    public int Experts { get; init; } = 16;

    /// <summary>Experts that each row asks.</summary>
    public int ExpertsPerCall { get; init; } = 1;

    /// <summary>Bytes of weights of one call.</summary>
    public long CallBytes => ExpertsPerCall * _device.ExpertBytes;

    [GlobalSetup]
    public void Setup()
    {
        SyntheticShape shape = SyntheticShape.Presets["k2"] with { Layers = 1, DenseLayers = 0, Hidden = HiddenSize, ExpertIntermediate = IntermediateSize, Experts = Experts, Vocabulary = 512 };
        SyntheticCheckpoint model = new(shape, seed: 1);
        using ITensorSource source = model.CreateSource();
        _compute = new CpuCompute(Threads, Path);
        _device = new CpuExpertDevice(model.Config, new TensorCatalog(model.Config), long.MaxValue, _compute);
        for (int expert = 0; expert < Experts; expert++)
            _device.Load(new ExpertKey(0, expert), source);
        _work = _device.CreateWork(Tokens, Tokens * ExpertsPerCall);
        _work.Reset(0, Tokens, Tokens * ExpertsPerCall);
        Random random = new(2);
        foreach (ref ushort value in _work.Hidden)
            value = (ushort)(0x3F00 + random.Next(256) + (random.Next(2) << 15));
        _ceiling = new ReadCeiling(CallBytes * (Experts / ExpertsPerCall), threads: 1);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _work.Dispose();
        _device.Dispose();
        _ceiling.Dispose();
        _compute.Dispose();
    }

    [Benchmark(Baseline = true)]
    public void Ceiling() => _ceiling.Read(_compute, CallBytes);

    [Benchmark]
    public void Forward()
    {
        _work.Reset(0, Tokens, Tokens * ExpertsPerCall);
        for (int pair = 0; pair < _work.Pairs; pair++)
        {
            _work.PairRows[pair] = pair / ExpertsPerCall;
            _work.PairExperts[pair] = _next + pair % ExpertsPerCall;
        }

        _device.Forward(_work);
        _next = (_next + ExpertsPerCall) % Experts;
    }
}
