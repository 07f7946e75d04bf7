using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cli;

/// <summary>Counts the experts that batches ask for, each once a batch: whose weights must be read for it.</summary>
internal sealed class CountingExperts(IExperts inner, int experts) : IExperts
{
    private readonly bool[] _asked = new bool[experts];

    public int MaxInFlight => inner.MaxInFlight;

    public bool ComputesOnCollect => inner.ComputesOnCollect;

    public long Count { get; set; }

    public ExpertTicket Submit(ExpertBatch batch)
    {
        Array.Clear(_asked);
        foreach (int expert in batch.ExpertIds.Span)
        {
            if (_asked[expert])
                continue;
            _asked[expert] = true;
            Count++;
        }

        return inner.Submit(batch);
    }

    public void Collect(ExpertTicket ticket) => inner.Collect(ticket);
}
