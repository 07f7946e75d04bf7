using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

public sealed class LoadTests : IDisposable
{
    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
    private readonly CpuCompute _compute = new(1, CpuPaths.Best);

    public void Dispose()
    {
        _compute.Dispose();
        _model.Dispose();
    }

    [Fact]
    public void Progress_rises_to_all_layers_and_all_bytes()
    {
        List<TrunkLoadProgress> seen = [];

        using CpuTrunk trunk = Load(new TrunkOptions(), seen.Add);

        Assert.Equal([0, 1, 2, 3, 4], seen.Select(progress => progress.Layers));
        Assert.All(seen, progress => Assert.Equal(4, progress.TotalLayers));
        Assert.Equal(seen.OrderBy(progress => progress.Bytes), seen);
        long expected = _model.Tensors.Tensors.Where(tensor => !tensor.Name.Contains(".experts.") && !tensor.Name.Contains("inv_freq")).Sum(tensor => tensor.ByteLength);
        Assert.Equal(expected, seen[^1].Bytes);
    }

    [Fact]
    public void A_range_reads_only_its_own_layers()
    {
        ListingSource source = new(_model.Tensors);

        using CpuTrunk trunk = CpuTrunk.Load(_model.Config, source, _compute, new NoExperts(2), new TrunkOptions { Layers = new LayerRange(1, 3) });

        Assert.Equal(new LayerRange(1, 3), trunk.Layers);
        Assert.All(source.Read, name => Assert.Matches(@"layers\.[12]\.(self_attn|mlp\.(gate|shared_experts)\.|input_layernorm|post_attention_layernorm)", name));
        Assert.Contains("model.layers.2.mlp.gate.weight", source.Read);
    }

    [Fact]
    public void As_many_pages_are_made_as_the_budget_holds()
    {
        long page = CpuTrunk.KvPageBytes(_model.Config, new LayerRange(0, 4));
        Assert.Equal(64 * _model.Config.KvBytesPerToken, page);

        using CpuTrunk trunk = Load(new TrunkOptions { KvMemoryBytes = (5 * page) + (page / 2) });

        Assert.Equal(5, trunk.PageCount);
    }

    [Theory]
    [InlineData(0, 64, 0, 4, 1 << 20, 2, "MaxRows is 0")]
    [InlineData(8193, 64, 0, 4, 1 << 20, 2, "MaxRows is 8193")]
    [InlineData(8, 1, 0, 4, 1 << 20, 2, "MicroBatchRows is 1")]
    [InlineData(8, 64, -1, 4, 1 << 20, 2, "[-1, 4)")]
    [InlineData(8, 64, 2, 2, 1 << 20, 2, "[2, 2)")]
    [InlineData(8, 64, 0, 5, 1 << 20, 2, "[0, 5)")]
    [InlineData(8, 64, 0, 4, 100, 2, "KvMemoryBytes is 100")]
    [InlineData(8, 64, 0, 4, -1, 2, "KvMemoryBytes is -1")]
    [InlineData(8, 64, 0, 4, 1 << 20, 1, "keeps two in flight")]
    public void Options_that_cannot_work_are_refused(int maxRows, int microBatchRows, int first, int last, long memory, int inFlight, string words)
    {
        TrunkOptions options = new() { MaxRows = maxRows, MicroBatchRows = microBatchRows, Layers = new LayerRange(first, last), KvMemoryBytes = memory };

        ArgumentException refused = Assert.Throws<ArgumentException>(() => CpuTrunk.Load(_model.Config, _model.Tensors, _compute, new NoExperts(inFlight), options));
        Assert.Contains(words, refused.Message);
    }

    [Fact]
    public void A_missing_tensor_is_named_before_any_is_read()
    {
        ListingSource source = new(_model.Tensors) { Missing = "model.layers.3.self_attn.o_proj.weight" };

        CheckpointException missing = Assert.Throws<CheckpointException>(() => CpuTrunk.Load(_model.Config, source, _compute, new NoExperts(2), new TrunkOptions()));

        Assert.Contains(source.Missing, missing.Message);
        Assert.Empty(source.Read);
    }

    [Fact]
    public void A_read_that_fails_ends_the_load_with_its_own_words()
    {
        ListingSource source = new(_model.Tensors) { Failing = "model.layers.2.self_attn.kv_b_proj.weight" };

        CheckpointException failure = Assert.Throws<CheckpointException>(() => CpuTrunk.Load(_model.Config, source, _compute, new NoExperts(2), new TrunkOptions()));

        Assert.Equal("the disk is gone", failure.Message);
    }

    [Fact]
    public void A_load_can_be_cancelled_between_layers()
    {
        using CancellationTokenSource cancellation = new();

        Assert.Throws<OperationCanceledException>(() => Load(new TrunkOptions(), progress =>
        {
            if (progress.Layers == 2)
                cancellation.Cancel();
        }, cancellation.Token));
    }

    private CpuTrunk Load(TrunkOptions options, Action<TrunkLoadProgress>? progress = null, CancellationToken cancellation = default) =>
        CpuTrunk.Load(_model.Config, _model.Tensors, _compute, new NoExperts(2), options, progress, cancellation);

    private sealed class NoExperts(int maxInFlight) : IExperts
    {
        public int MaxInFlight => maxInFlight;

        public ExpertTicket Submit(ExpertBatch batch) => throw new NotSupportedException();

        public void Collect(ExpertTicket ticket) => throw new NotSupportedException();
    }

    private sealed class ListingSource(ITensorSource inner) : ITensorSource
    {
        public string? Missing { get; init; }

        public string? Failing { get; init; }

        public List<string> Read { get; } = [];

        public IEnumerable<TensorInfo> Tensors => inner.Tensors;

        public bool TryGet(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TensorInfo? tensor)
        {
            tensor = null;
            return name != Missing && inner.TryGet(name, out tensor);
        }

        public string Locate(string name) => inner.Locate(name);

        void ITensorSource.Read(TensorInfo tensor, long offset, Span<byte> destination)
        {
            Read.Add(tensor.Name);
            if (tensor.Name == Failing)
                throw new CheckpointException("the disk is gone");
            inner.Read(tensor, offset, destination);
        }

        public void Dispose()
        {
        }
    }
}
