using K2Cluster.Kernels.Experts;

namespace K2Cluster.Trunk.Tests;

/// <summary>Experts that note what happens and may spoil an answer.</summary>
internal sealed class ScriptedExperts(IExperts inner) : IExperts
{
    /// <summary>"submit layer rows" and "collect layer rows", in order.</summary>
    public List<string> Events { get; } = [];

    /// <summary>The experts asked for, by layer: one array a row, in the order of the rows.</summary>
    public Dictionary<int, List<int[]>> Asked { get; } = [];

    /// <summary>Called after a batch was answered.</summary>
    public Action<ExpertBatch>? Answered { get; set; }

    /// <summary>Called before a batch is collected.</summary>
    public Action<ExpertBatch>? Collecting { get; set; }

    public int MaxInFlight => inner.MaxInFlight;

    public bool ComputesOnCollect { get; init; }

    public ExpertTicket Submit(ExpertBatch batch)
    {
        Events.Add($"submit {batch.Layer} {batch.Rows}");
        if (!Asked.TryGetValue(batch.Layer, out List<int[]>? asked))
            Asked.Add(batch.Layer, asked = []);
        asked.AddRange(batch.ExpertIds.ToArray().Chunk(batch.ExpertsPerToken));
        return inner.Submit(batch);
    }

    public void Collect(ExpertTicket ticket)
    {
        Events.Add($"collect {ticket.Batch.Layer} {ticket.Batch.Rows}");
        Collecting?.Invoke(ticket.Batch);
        inner.Collect(ticket);
        Answered?.Invoke(ticket.Batch);
    }
}
