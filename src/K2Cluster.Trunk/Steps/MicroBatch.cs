using K2Cluster.Kernels.Experts;

namespace K2Cluster.Trunk.Steps;

/// <summary>Half the rows of a step (or all): what goes through a layer together, and its experts' work while in flight.</summary>
internal sealed class MicroBatch
{
    private readonly int _maxRows;
    private readonly int _hiddenSize;
    private readonly int _expertsPerToken;

    public MicroBatch(int maxRows, int hiddenSize, int expertsPerToken)
    {
        _maxRows = maxRows;
        _hiddenSize = hiddenSize;
        _expertsPerToken = expertsPerToken;
        Experts = new ExpertBatch(maxRows, hiddenSize, expertsPerToken);
        ExpertRows = new int[maxRows];
    }

    public int FirstRow { get; private set; }

    public int Count { get; private set; }

    public int EndRow => FirstRow + Count;

    public ExpertBatch Experts { get; private set; }

    /// <summary>The step's row of each row of <see cref="Experts"/>: those of sequences that left are not asked for.</summary>
    public int[] ExpertRows { get; }

    /// <summary>What is in flight.</summary>
    public ExpertTicket? Ticket { get; set; }

    public void Set(int firstRow, int count)
    {
        FirstRow = firstRow;
        Count = count;
    }

    /// <summary>After a collect that threw, the callee may still write to the batch: it gets to keep it.</summary>
    public void Abandon()
    {
        Ticket = null;
        Experts = new ExpertBatch(_maxRows, _hiddenSize, _expertsPerToken);
    }
}
