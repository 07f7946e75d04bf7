using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk.Attention;
using K2Cluster.Trunk.Rows;

namespace K2Cluster.Trunk.Steps;

/// <summary>The rows of the step at hand: the residual stream, and what the batch says about each row.</summary>
internal sealed class StepRows : IDisposable
{
    private readonly Rotary _rotary;
    private bool[] _live = [];

    public StepRows(ModelConfig config, int maxRows)
    {
        _rotary = new Rotary(config);
        Hidden = new RowBuffer(maxRows, config.HiddenSize);
        Cos = new RowBuffer(maxRows, config.QkRopeHeadDim / 2);
        Sin = new RowBuffer(maxRows, config.QkRopeHeadDim / 2);
        Positions = new int[maxRows];
        Sequences = new int[maxRows];
        FirstPages = new int[maxRows];
    }

    /// <summary>The residual stream [rows, hidden].</summary>
    public RowBuffer Hidden { get; }

    /// <summary>Rows that <see cref="Hidden"/> holds.</summary>
    public int Count { get; set; }

    /// <summary>[rows, pairs].</summary>
    public RowBuffer Cos { get; }

    /// <summary>[rows, pairs].</summary>
    public RowBuffer Sin { get; }

    /// <summary>[rows]: absolute positions.</summary>
    public int[] Positions { get; }

    /// <summary>[rows]: index of the row's sequence in the batch.</summary>
    public int[] Sequences { get; }

    /// <summary>[rows]: where the pages of the row's sequence begin in <see cref="PageTable"/>.</summary>
    public int[] FirstPages { get; }

    /// <summary>At least the batch's page table; grows to the longest seen.</summary>
    public int[] PageTable { get; private set; } = [];

    /// <summary>Null unless a benchmark asks.</summary>
    public StepTimes? Times { get; set; }

    public float SoftmaxScale => _rotary.SoftmaxScale;

    /// <summary>Takes over what a checked batch says. A sequence that is not Done in <paramref name="result"/> stays out.</summary>
    public void Prepare(TrunkBatch batch, TrunkResult result)
    {
        Count = batch.Rows;
        if (PageTable.Length < batch.PageTable.Count)
            PageTable = new int[batch.PageTable.Count * 2];
        CollectionsMarshal.AsSpan(batch.PageTable).CopyTo(PageTable);
        if (_live.Length < batch.Sequences.Count)
            _live = new bool[batch.Sequences.Count * 2];
        for (int sequence = 0; sequence < batch.Sequences.Count; sequence++)
        {
            SequenceSlice slice = batch.Sequences[sequence];
            _live[sequence] = result.Statuses[sequence] == RowStatus.Done;
            for (int row = slice.FirstRow; row < slice.FirstRow + slice.RowCount; row++)
            {
                Sequences[row] = sequence;
                FirstPages[row] = slice.FirstPage;
                Positions[row] = batch.Positions[row];
                _rotary.Angles(batch.Positions[row], Cos.Span(row, 1), Sin.Span(row, 1));
            }
        }
    }

    /// <summary>Whether the row's sequence still takes part.</summary>
    public bool IsLive(int row) => _live[Sequences[row]];

    public bool IsSequenceLive(int sequence) => _live[sequence];

    /// <summary>A sequence leaves the step: its rows are no longer computed, save for products that nobody reads.</summary>
    public void Leave(int sequence) => _live[sequence] = false;

    public void Dispose()
    {
        Hidden.Dispose();
        Cos.Dispose();
        Sin.Dispose();
    }
}
