using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Attention;
using K2Cluster.Trunk.Loading;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Steps;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk;

/// <summary>
/// The trunk on the CPU: BF16 weights, FP32 between them, BF16 KV cache. A row's result depends on its token, its position
/// and the tokens before it, and on nothing else: not on the batch, its chunks, the micro-batches, the threads or the
/// instruction set. A step allocates nothing once buffers have grown to the largest batch seen, save for the words of a
/// problem. Freed pages need nothing done here.
/// </summary>
public sealed class CpuTrunk : ITrunk
{
    private readonly ModelConfig _config;
    private readonly CpuCompute _compute;
    private readonly IExperts _experts;
    private readonly TrunkWeights _weights;
    private readonly int _microBatchRows;
    private readonly StepRows _step;
    private readonly LatentAttention _attention;
    private readonly MlpLayer _mlp;
    private readonly MicroBatch[] _microBatches = new MicroBatch[2];
    private readonly RowBuffer _headInput;
    private bool _disposed;

    private CpuTrunk(ModelConfig config, TrunkWeights weights, LayerRange layers, CpuCompute compute, IExperts experts, TrunkOptions options, int pages)
    {
        _config = config;
        _weights = weights;
        _compute = compute;
        _experts = experts;
        _microBatchRows = options.MicroBatchRows;
        Layers = layers;
        MaxRows = options.MaxRows;
        Memory = new KvMemory(config, layers.Last - layers.First, pages);
        _step = new StepRows(config, MaxRows);
        _attention = new LatentAttention(config, compute, Memory);
        _mlp = new MlpLayer(config, compute, experts, MaxRows);
        _headInput = new RowBuffer(RowBlock.Rows, config.HiddenSize);
        int half = (MaxRows + 1) / 2;
        for (int i = 0; i < 2; i++)
            _microBatches[i] = new MicroBatch(i == 0 ? MaxRows : half, config.HiddenSize, config.ExpertsPerToken);
    }

    /// <summary>The layers that this trunk holds.</summary>
    public LayerRange Layers { get; }

    public int LayerCount => _config.LayerCount;

    public int HiddenSize => _config.HiddenSize;

    public int VocabularySize => _config.VocabularySize;

    public int MaxPositions => _config.MaxPositions;

    public int PageCount => Memory.PageCount;

    public int MaxRows { get; }

    internal KvMemory Memory { get; }

    /// <summary>Measures the steps that are run while it is set.</summary>
    internal StepTimes? Times
    {
        get => _step.Times;
        set => _step.Times = value;
    }

    /// <summary>Checks and loads the trunk's part of a checkpoint.</summary>
    /// <param name="config">The model.</param>
    /// <param name="source">Its weights; needed for the load only.</param>
    /// <param name="compute">The threads that load and run; the caller's, as are the experts.</param>
    /// <param name="experts">The routed experts.</param>
    /// <param name="options">Sizes.</param>
    /// <param name="progress">Called on this thread, before each layer and at the end.</param>
    /// <param name="cancellation">Looked at before each layer.</param>
    /// <exception cref="CheckpointException">A tensor is missing, wrong or unreadable.</exception>
    /// <exception cref="ArgumentException">The options do not fit each other or the model.</exception>
    public static CpuTrunk Load(
        ModelConfig config,
        ITensorSource source,
        CpuCompute compute,
        IExperts experts,
        TrunkOptions options,
        Action<TrunkLoadProgress>? progress = null,
        CancellationToken cancellation = default)
    {
        options.Check();
        LayerRange layers = options.Layers ?? new LayerRange(0, config.LayerCount);
        if (layers.First < 0 || layers.First >= layers.Last || layers.Last > config.LayerCount)
            throw new ArgumentException($"The layers [{layers.First}, {layers.Last}) are not a range of the model's {config.LayerCount}.", nameof(options));
        if ((long)options.MaxRows * config.ExpertsPerToken * config.HiddenSize > Array.MaxLength)
            throw new ArgumentException($"MaxRows is {options.MaxRows}; {config.ExpertsPerToken} experts' rows of {config.HiddenSize} each would not fit one array.", nameof(options));
        if (experts.MaxInFlight < 2)
            throw new ArgumentException($"The experts take {experts.MaxInFlight} batch at a time; the trunk keeps two in flight.", nameof(experts));

        long pageBytes = KvPageBytes(config, layers);
        long pages = Math.Min(options.KvMemoryBytes / pageBytes, int.MaxValue / ITrunk.PageTokens); // tokens are counted in an int
        if (pages < 1)
            throw new ArgumentException($"KvMemoryBytes is {options.KvMemoryBytes:N0}; one page of {ITrunk.PageTokens} tokens takes {pageBytes:N0}.", nameof(options));

        TrunkWeights weights = TrunkLoader.Load(config, source, layers, compute, progress, cancellation);
        try
        {
            return new CpuTrunk(config, weights, layers, compute, experts, options, (int)pages);
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }

    /// <summary>Bytes that a KV page takes in a range of layers.</summary>
    public static long KvPageBytes(ModelConfig config, LayerRange layers) => KvMemory.PageBytes(config, layers.Last - layers.First);

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The batch or the range is not valid; nothing was run.</exception>
    /// <exception cref="InvalidOperationException">The range does not begin at layer 0 and the trunk does not hold the batch's rows.</exception>
    public void Run(TrunkBatch batch, LayerRange layers, TrunkResult result)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        CheckRange(layers);
        BatchCheck.Check(batch, this);
        if (layers.First > 0 && _step.Count != batch.Rows)
            throw new InvalidOperationException($"The batch has {batch.Rows} rows, the trunk holds {_step.Count}: run the layers before {layers.First}, or write the rows.");

        _step.Times?.Start();
        result.Reset(batch.Sequences.Count, layers.Last == LayerCount ? CountLogits(batch) : 0, VocabularySize, goOn: layers.First > 0);
        _step.Prepare(batch, result);
        if (layers.First == 0)
            Embed(batch);
        Cut(batch.Rows);
        _step.Times?.Mark(StepPhase.Rest);
        try
        {
            RunLayers(batch, layers, result);
        }
        catch
        {
            Abandon();
            _step.Count = 0;
            throw;
        }

        if (layers.Last == LayerCount)
            Head(batch, result);
        _step.Times?.Mark(StepPhase.Head);
    }

    /// <inheritdoc/>
    public void ReadRows(Span<float> destination)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        ReadOnlySpan<float> rows = _step.Hidden.Span(0, _step.Count);
        ArgumentOutOfRangeException.ThrowIfNotEqual(destination.Length, rows.Length, nameof(destination));
        rows.CopyTo(destination);
    }

    /// <inheritdoc/>
    public void WriteRows(ReadOnlySpan<float> source)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        int rows = source.Length / HiddenSize;
        if (rows > MaxRows || rows * HiddenSize != source.Length)
            throw new ArgumentException($"{source.Length} floats are not up to {MaxRows} rows of {HiddenSize}.", nameof(source));
        source.CopyTo(_step.Hidden.Span(0, rows));
        _step.Count = rows;
    }

    public void Dispose()
    {
        if (_disposed)
            return;
        _disposed = true;
        _weights.Dispose();
        Memory.Dispose();
        _step.Dispose();
        _attention.Dispose();
        _mlp.Dispose();
        _headInput.Dispose();
    }

    private void CheckRange(LayerRange layers)
    {
        if (layers.First < Layers.First || layers.First > layers.Last || layers.Last > Layers.Last)
            throw new ArgumentException($"The layers [{layers.First}, {layers.Last}) are not within this trunk's [{Layers.First}, {Layers.Last}).", nameof(layers));
    }

    private void Embed(TrunkBatch batch)
    {
        for (int row = 0; row < batch.Rows; row++)
            _weights.Embedding!.Lookup(batch.Tokens[row], _step.Hidden.Span(row, 1));
    }

    private void Cut(int rows)
    {
        int first = rows >= _microBatchRows && !_experts.ComputesOnCollect ? (rows + 1) / 2 : rows;
        _microBatches[0].Set(0, first);
        _microBatches[1].Set(first, rows - first);
    }

    /// <summary>
    /// Layer by layer, the two micro-batches in turn: while one attends here, the experts of the other are at work. Rows of
    /// the second may attend to rows of the first, never the other way round, so the first is always one layer ahead or level.
    /// </summary>
    private void RunLayers(TrunkBatch batch, LayerRange layers, TrunkResult result)
    {
        for (int layer = layers.First; layer < layers.Last; layer++)
        {
            int local = layer - Layers.First;
            foreach (PageCopy copy in batch.Copies)
                Memory.Copy(local, copy);
            foreach (MicroBatch microBatch in _microBatches)
            {
                _mlp.Finish(_step, microBatch, result);
                Attend(local, microBatch);
                _mlp.Start(_weights.Layers[local], layer, _step, microBatch);
            }
        }

        foreach (MicroBatch microBatch in _microBatches)
            _mlp.Finish(_step, microBatch, result);
    }

    private void Attend(int local, MicroBatch microBatch)
    {
        for (int first = microBatch.FirstRow; first < microBatch.EndRow; first += RowBlock.Rows)
            _attention.Run(_weights.Layers[local], local, _step, first, Math.Min(RowBlock.Rows, microBatch.EndRow - first));
    }

    private void Head(TrunkBatch batch, TrunkResult result)
    {
        int done = 0;
        for (int row = 0; row < batch.Rows;)
        {
            int count = 0;
            for (; row < batch.Rows && count < RowBlock.Rows; row++)
            {
                if (batch.NeedsLogits[row])
                    VectorMath.RmsNorm(_compute.Path, _step.Hidden.Span(row, 1), _weights.FinalNorm, (float)_config.RmsNormEpsilon, _headInput.Span(count++, 1));
            }

            if (count > 0)
                _weights.Head!.Multiply(_compute, _headInput.Span(0, count), HiddenSize, result.Logits(done, count), VocabularySize, count);
            done += count;
        }
    }

    private static int CountLogits(TrunkBatch batch)
    {
        int count = 0;
        foreach (bool needs in batch.NeedsLogits)
            count += needs ? 1 : 0;
        return count;
    }

    /// <summary>After a failure nothing may stay in flight: the next step uses the same batches.</summary>
    private void Abandon()
    {
        foreach (MicroBatch microBatch in _microBatches)
        {
            if (microBatch.Ticket is not { } ticket)
                continue;
            try
            {
                _experts.Collect(ticket);
                microBatch.Ticket = null;
            }
            catch (Exception)
            {
                // The failure that is on its way out is the one to report.
                microBatch.Abandon();
            }
        }
    }
}
