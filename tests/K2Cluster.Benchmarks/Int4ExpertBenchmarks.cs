using BenchmarkDotNet.Attributes;
using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Cli;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Benchmarks;

/// <summary>One INT4 expert of K2 (hidden 7168, intermediate 2048: 24.8 MB) for 1, 8 and 32 rows, going round experts that no cache holds.</summary>
[WeightBytes(ExpertBytes)]
public class Int4ExpertBenchmarks
{
    private const long ExpertBytes = 24_772_608;
    private const int Experts = 16;

    private CpuCompute _compute = null!;
    private CpuExpertDevice _device = null!;
    private ExpertWork _work = null!;
    private ReadCeiling _ceiling = null!;
    private int _next;

    [Params(1, 8, 32)]
    public int Tokens { get; set; }

    [Params(CpuPath.Avx512, CpuPath.Avx2)]
    public CpuPath Path { get; set; }

    public int Threads { get; init; } = Environment.ProcessorCount;

    [GlobalSetup]
    public void Setup()
    {
        SyntheticCheckpoint model = new(SyntheticShape.Presets["k2"] with { Layers = 1, DenseLayers = 0, Experts = Experts, Vocabulary = 512 }, seed: 1);
        using ITensorSource source = model.CreateSource();
        _compute = new CpuCompute(Threads, Path);
        _device = new CpuExpertDevice(model.Config, new TensorCatalog(model.Config), Experts * ExpertBytes, _compute);
        for (int expert = 0; expert < Experts; expert++)
            _device.Load(new ExpertKey(0, expert), source);
        _work = _device.CreateWork(Tokens, Tokens);
        _work.Reset(0, Tokens, Tokens);
        Random random = new(2);
        foreach (ref ushort value in _work.Hidden)
            value = (ushort)(0x3F00 + random.Next(256) + (random.Next(2) << 15));
        for (int i = 0; i < Tokens; i++)
            _work.PairRows[i] = i;
        _ceiling = new ReadCeiling(ExpertBytes * Experts, threads: 1);
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
    public void Ceiling() => _ceiling.Read(_compute, ExpertBytes);

    [Benchmark]
    public void Forward()
    {
        _work.Reset(0, Tokens, Tokens);
        _work.PairExperts.Fill(_next);
        _device.Forward(_work);
        _next = (_next + 1) % Experts;
    }
}
