using System.Runtime.CompilerServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Trunk.Tests;

/// <summary>
/// A trunk with all experts in this process, and pages for a few sequences. The KV memory is filled with NaN at first, so
/// that a read of what was never written shows.
/// </summary>
internal sealed class TrunkHarness : IDisposable
{
    private readonly CpuCompute _compute;
    private readonly LocalExperts _experts;
    private readonly Queue<int> _freePages;

    public TrunkHarness(
        ModelDirectory model,
        CpuPath? path = null,
        int threads = 1,
        int maxRows = 256,
        int microBatchRows = int.MaxValue,
        LayerRange? layers = null,
        int pages = 24,
        Func<IExperts, IExperts>? wrap = null,
        CpuActivations activations = CpuActivations.Bits16)
    {
        _compute = new CpuCompute(threads, path ?? CpuPaths.Best);
        _experts = LocalExperts.Load(model, _compute, maxRows, activations: activations);
        LayerRange range = layers ?? new LayerRange(0, model.Config.LayerCount);
        TrunkOptions options = new()
        {
            Layers = range,
            MaxRows = maxRows,
            MicroBatchRows = microBatchRows,
            KvMemoryBytes = pages * CpuTrunk.KvPageBytes(model.Config, range),
        };
        Trunk = CpuTrunk.Load(model.Config, model.Tensors, _compute, wrap is not null ? wrap(_experts) : microBatchRows < int.MaxValue ? new ElsewhereExperts(_experts) : _experts, options);
        Assert.Equal(pages, Trunk.PageCount);
        Poison(range.Last - range.First);

        // Neither in order nor side by side.
        _freePages = new Queue<int>(Enumerable.Range(0, pages).Select(i => ((i * 7) + 3) % pages).Distinct().Reverse());
    }

    public CpuTrunk Trunk { get; }

    public TrunkBatch Batch { get; } = new();

    public TrunkResult Result { get; } = new();

    public LayerRange AllLayers => new(0, Trunk.LayerCount);

    /// <summary>Runs rows of several sequences in one step; gives the logits of every row.</summary>
    public float[][] Step(params (TestSequence Sequence, int[] Tokens)[] rows)
    {
        Fill(rows);
        Trunk.Run(Batch, AllLayers, Result);
        foreach ((TestSequence sequence, int[] tokens) in rows)
            sequence.Length += tokens.Length;
        Assert.All(Result.Statuses, status => Assert.Equal(RowStatus.Done, status));
        return TakeLogits();
    }

    public float[][] TakeLogits() => [.. Enumerable.Range(0, Result.LogitRows).Select(i => Result.Logits(i).ToArray())];

    /// <summary>Makes the batch of a step, without running it or moving the sequences on.</summary>
    public void Fill(params (TestSequence Sequence, int[] Tokens)[] rows)
    {
        Batch.Clear();
        foreach ((TestSequence sequence, int[] tokens) in rows)
        {
            while (sequence.Pages.Count * ITrunk.PageTokens < sequence.Length + tokens.Length)
                sequence.Pages.Add(_freePages.Dequeue());
            Batch.Sequences.Add(new SequenceSlice(Batch.Rows, tokens.Length, Batch.PageTable.Count, sequence.Pages.Count));
            Batch.PageTable.AddRange(sequence.Pages);
            for (int i = 0; i < tokens.Length; i++)
            {
                Batch.Tokens.Add(tokens[i]);
                Batch.Positions.Add(sequence.Length + i);
                Batch.NeedsLogits.Add(true);
            }
        }
    }

    /// <summary>Feeds a prompt in chunks; gives the logits of every position.</summary>
    public float[][] Prefill(TestSequence sequence, int[] prompt, int chunk) =>
        [.. prompt.Chunk(chunk).SelectMany(tokens => Step((sequence, tokens)))];

    /// <summary>Goes on greedily, one token a step; gives the ids and the logits that they were fed to.</summary>
    public (int[] Ids, float[][] Logits) Greedy(TestSequence sequence, float[] logits, int count)
    {
        List<int> ids = [Largest(logits)];
        List<float[]> all = [];
        while (ids.Count < count)
        {
            all.Add(Step((sequence, [ids[^1]]))[0]);
            ids.Add(Largest(all[^1]));
        }

        return ([.. ids], [.. all]);
    }

    public void Dispose()
    {
        Trunk.Dispose();
        _experts.Dispose();
        _compute.Dispose();
    }

    private static int Largest(float[] logits) => Array.IndexOf(logits, logits.Max());

    /// <summary>Does not say that it computes on the caller's threads, so that steps are cut.</summary>
    private sealed class ElsewhereExperts(IExperts inner) : IExperts
    {
        public int MaxInFlight => inner.MaxInFlight;

        public ExpertTicket Submit(ExpertBatch batch) => inner.Submit(batch);

        public void Collect(ExpertTicket ticket) => inner.Collect(ticket);
    }

    private unsafe void Poison(int layers)
    {
        uint bytes = (uint)(Trunk.Memory.TokenWidth * ITrunk.PageTokens * sizeof(ushort));
        for (int layer = 0; layer < layers; layer++)
        {
            for (int page = 0; page < Trunk.PageCount; page++)
                Unsafe.InitBlock(Trunk.Memory.Page(layer, page), 0xFF, bytes);
        }
    }
}

internal sealed class TestSequence
{
    public List<int> Pages { get; } = [];

    public int Length { get; set; }
}
