using BenchmarkDotNet.Attributes;
using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Engine;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk;

namespace K2Cluster.Benchmarks;

/// <summary>
/// Whole generations: request, scheduler, trunk, experts, sampler, channel, reader, on a tiny random model. Each figure is for
/// one token; what a request allocates once is spread over its tokens.
/// </summary>
public class GenerationBenchmarks
{
    private const int Tokens = 1536;

    private readonly int[] _prompt = [.. Enumerable.Range(1, 64)];
    private CpuCompute _compute = null!;
    private CpuExpertDevice _device = null!;
    private LocalExperts _experts = null!;
    private CpuTrunk _trunk = null!;
    private GenerationEngine _engine = null!;

    [Params(1, 16)]
    public int Requests { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        SyntheticCheckpoint model = new(SyntheticShape.Presets["tiny"], seed: 1);
        using ITensorSource weights = model.CreateSource();
        EngineOptions options = new() { DraftTokens = 8 };
        _compute = new CpuCompute(Environment.ProcessorCount, CpuPaths.Best);
        _device = new CpuExpertDevice(model.Config, new TensorCatalog(model.Config), long.MaxValue, _compute);
        for (int layer = model.Config.FirstDenseLayers; layer < model.Config.LayerCount; layer++)
        {
            for (int expert = 0; expert < model.Config.RoutedExperts; expert++)
                _device.Load(new ExpertKey(layer, expert), weights);
        }

        _experts = new LocalExperts(_device, options.StepTokens, model.Config.ExpertsPerToken);
        long page = CpuTrunk.KvPageBytes(model.Config, new LayerRange(0, model.Config.LayerCount));
        _trunk = CpuTrunk.Load(model.Config, weights, _compute, _experts, new TrunkOptions { MaxRows = options.StepTokens, KvMemoryBytes = 1024 * page });
        _engine = new GenerationEngine(_trunk, options);
    }

    [GlobalCleanup]
    public async Task CleanupAsync()
    {
        await _engine.DisposeAsync();
        _trunk.Dispose();
        _experts.Dispose();
        _device.Dispose();
        _compute.Dispose();
    }

    /// <summary>Sampled with temperature and top_p.</summary>
    [Benchmark(OperationsPerInvoke = Tokens)]
    public Task Sampled() => Task.WhenAll(Enumerable.Range(0, Requests).Select(i => GenerateAsync(i, drafts: 0)));

    /// <summary>With drafts of up to 8 tokens.</summary>
    [Benchmark(OperationsPerInvoke = Tokens)]
    public Task Speculated() => Task.WhenAll(Enumerable.Range(0, Requests).Select(i => GenerateAsync(i, drafts: 8)));

    private async Task GenerateAsync(int seed, int drafts)
    {
        GenerationRequest request = new()
        {
            Id = "r",
            Prompt = _prompt,
            MaxTokens = Tokens / Requests,
            DraftTokens = drafts,
            Sampling = new SamplingParameters { Temperature = 0.7f, TopP = 0.95f, Seed = (ulong)seed },
        };
        int count = 0;
        await foreach (GeneratedToken _ in _engine.GenerateAsync(request))
            count++;
        if (count != Tokens / Requests)
            throw new InvalidOperationException($"{count} tokens came.");
    }
}
