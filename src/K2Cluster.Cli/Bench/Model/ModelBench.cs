using System.Diagnostics;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk;

namespace K2Cluster.Cli;

/// <summary>
/// A model in this process, composed as an embedded gateway composes it, without scheduler and sampler: a trunk and its
/// experts on the same threads. Tokens are random, so that experts are asked as evenly as the router has it.
/// </summary>
internal sealed class ModelBench : IDisposable
{
    private readonly ModelBenchOptions _options;
    private readonly ModelConfig _config;
    private readonly CpuCompute _compute;
    private readonly LocalExperts _local;
    private readonly CountingExperts _experts;
    private readonly CpuTrunk _trunk;
    private readonly long _stepBytes;
    private readonly long _expertBytes;
    private readonly int _pagesPerSequence;
    private readonly Random _random;
    private readonly TrunkBatch _batch = new();
    private readonly TrunkResult _result = new();

    public ModelBench(ModelDirectory model, ModelBenchOptions options, CancellationToken cancellation)
    {
        _options = options;
        _config = model.Config;
        _random = new Random(options.Seed);
        int longest = Math.Max(options.Prefill.Max(), options.Context + options.Steps);
        if (longest > _config.MaxPositions)
            throw new CommandException($"{options.Model} has {_config.MaxPositions:N0} positions; {longest:N0} are asked for.");

        _pagesPerSequence = (options.Context + options.Steps + ITrunk.PageTokens - 1) / ITrunk.PageTokens;
        LayerRange all = new(0, _config.LayerCount);
        long pages = Math.Max((long)options.Batches.Max() * _pagesPerSequence, (longest + ITrunk.PageTokens - 1) / ITrunk.PageTokens);
        long kvBytes = checked(pages * CpuTrunk.KvPageBytes(_config, all));
        if (kvBytes > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 2)
            throw new CommandException($"The KV cache of {options.Batches.Max():N0} sequences of {longest:N0} tokens takes {kvBytes:N0} bytes, more than half of this machine's memory: give a smaller --batch or --context.");
        int rows = Math.Max(options.Chunk, options.Batches.Max());
        _compute = new CpuCompute(options.Threads, CpuPaths.Best);
        try
        {
            _local = LocalExperts.Load(model, _compute, rows, activations: CommandOptions.ActivationsOf(options.CpuActivations));
            _experts = new CountingExperts(_local, _config.RoutedExperts);
            _trunk = CpuTrunk.Load(
                _config, model.Tensors, _compute, _experts, new TrunkOptions { MaxRows = rows, KvMemoryBytes = kvBytes }, cancellation: cancellation);
        }
        catch (Exception failure)
        {
            _local?.Dispose();
            _compute.Dispose();
            if (failure is ArgumentException)
                throw new CommandException(failure.Message);
            throw;
        }

        // A token reads one row of the embedding; of the rest, each step reads everything.
        long embedding = _config.TieEmbeddings ? 0 : (long)_config.VocabularySize * _config.HiddenSize * sizeof(ushort);
        _stepBytes = model.Catalog.CheckTrunk(model.Tensors, 0, _config.LayerCount) - embedding;
        int moeLayer = Enumerable.Range(0, _config.LayerCount).FirstOrDefault(_config.IsMoeLayer, -1);
        _expertBytes = moeLayer < 0 ? 0 : model.Catalog.CheckExpert(model.Tensors, moeLayer, 0);
    }

    /// <summary>Measures everything, in turn, as often as there are rounds.</summary>
    public ModelReport Run(MachineFacts machine, ReadCeiling ceiling, Action progress, CancellationToken cancellation)
    {
        List<double>[] prefill = [.. _options.Prefill.Select(_ => new List<double>())];
        List<double>[] decode = [.. _options.Batches.Select(_ => new List<double>())];
        double[] bytes = new double[decode.Length];
        // Buffers grow, code is compiled.
        Prefill(_options.Prefill.Min());
        Decode(_options.Batches.Max(), out _);
        for (int round = 0; round < _options.Rounds; round++)
        {
            ceiling.Measure();
            for (int i = 0; i < prefill.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                prefill[i].Add(_options.Prefill[i] / Prefill(_options.Prefill[i]).TotalSeconds);
                progress();
            }

            for (int i = 0; i < decode.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                decode[i].Add(_options.Batches[i] * _options.Steps / Decode(_options.Batches[i], out double read).TotalSeconds);
                bytes[i] += read / _options.Rounds;
                progress();
            }
        }

        ceiling.Measure();
        DecodeResult[] decodes = [.. _options.Batches.Select((batch, i) => DecodeOf(batch, decode[i], bytes[i], ceiling.BytesPerSecond))];
        return new ModelReport(
            decodes.Any(result => result.TokensPerSecond.Max * result.MegabytesPerToken * 1e6 > ceiling.BytesPerSecond),
            machine,
            _options,
            ceiling.BytesPerSecond / 1e9,
            ceiling.Best,
            [.. _options.Prefill.Select((tokens, i) => new PrefillResult(tokens, Rounds.Of(prefill[i])))],
            decodes);
    }

    public void Dispose()
    {
        _trunk.Dispose();
        _local.Dispose();
        _compute.Dispose();
    }

    private static DecodeResult DecodeOf(int batch, List<double> rates, double bytesPerToken, double ceiling)
    {
        Rounds rounds = Rounds.Of(rates);
        return new DecodeResult(batch, rounds, bytesPerToken / 1e6, rounds.Median * bytesPerToken / ceiling);
    }

    private TimeSpan Prefill(int tokens)
    {
        long started = Stopwatch.GetTimestamp();
        for (int done = 0; done < tokens; done += _options.Chunk)
        {
            int rows = Math.Min(_options.Chunk, tokens - done);
            _batch.Clear();
            AddSequence(0, done, rows, (done + rows + ITrunk.PageTokens - 1) / ITrunk.PageTokens);
            _batch.NeedsLogits[^1] = done + rows == tokens;
            Step();
        }

        return Stopwatch.GetElapsedTime(started);
    }

    private TimeSpan Decode(int batch, out double bytesPerToken)
    {
        // One context, copied to all: its attention costs as much as any.
        if (_options.Context > 0)
            Prefill(_options.Context);
        int contextPages = (_options.Context + ITrunk.PageTokens - 1) / ITrunk.PageTokens;
        long started = 0;
        // The step before the first makes the copies and is not measured.
        for (int step = -1; step < _options.Steps; step++)
        {
            _batch.Clear();
            for (int sequence = 0; sequence < batch; sequence++)
            {
                AddSequence(sequence * _pagesPerSequence, _options.Context + Math.Max(step, 0), 1, _pagesPerSequence);
                _batch.NeedsLogits[^1] = true;
                for (int page = 0; step < 0 && sequence > 0 && page < contextPages; page++)
                    _batch.Copies.Add(new PageCopy(page, (sequence * _pagesPerSequence) + page, Math.Min(ITrunk.PageTokens, _options.Context - (page * ITrunk.PageTokens))));
            }

            if (step == 0)
            {
                _experts.Count = 0;
                started = Stopwatch.GetTimestamp();
            }

            Step();
        }

        TimeSpan elapsed = Stopwatch.GetElapsedTime(started);
        double cached = (_options.Context + (_options.Steps / 2.0)) * _config.KvBytesPerToken;
        bytesPerToken = ((_stepBytes + ((double)_experts.Count / _options.Steps * _expertBytes)) / batch) + cached;
        return elapsed;
    }

    private void AddSequence(int firstPage, int position, int rows, int pages)
    {
        _batch.Sequences.Add(new SequenceSlice(_batch.Rows, rows, _batch.PageTable.Count, pages));
        for (int page = 0; page < pages; page++)
            _batch.PageTable.Add(firstPage + page);
        for (int row = 0; row < rows; row++)
        {
            _batch.Tokens.Add(_random.Next(_config.VocabularySize));
            _batch.Positions.Add(position + row);
            _batch.NeedsLogits.Add(false);
        }
    }

    private void Step()
    {
        _trunk.Run(_batch, new LayerRange(0, _config.LayerCount), _result);
        if (_result.Statuses.Any(status => status != RowStatus.Done))
            throw new CommandException($"A step failed: {_result.Problem}");
    }
}
