namespace K2Cluster.Trunk;

/// <summary>
/// One step's work for the trunk: plain data that could cross a process. Rows lie in order; the rows of a sequence are
/// contiguous and rise in position by one. The scheduler sees page ids only: KV pages and rows live in the trunk's own buffers.
/// </summary>
public sealed class TrunkBatch
{
    /// <summary>Token id of each row.</summary>
    public List<int> Tokens { get; } = [];

    /// <summary>Absolute position of each row in its sequence.</summary>
    public List<int> Positions { get; } = [];

    /// <summary>Whether a row's logits are wanted.</summary>
    public List<bool> NeedsLogits { get; } = [];

    /// <summary>The sequences that the rows belong to, in row order.</summary>
    public List<SequenceSlice> Sequences { get; } = [];

    /// <summary>Page ids of all sequences, one after the other; see <see cref="SequenceSlice.FirstPage"/>.</summary>
    public List<int> PageTable { get; } = [];

    /// <summary>Pages to copy before the step (a shared page that is about to be written).</summary>
    public List<PageCopy> Copies { get; } = [];

    /// <summary>Pages whose content is no longer needed.</summary>
    public List<int> Freed { get; } = [];

    public int Rows => Tokens.Count;

    public void Clear()
    {
        Tokens.Clear();
        Positions.Clear();
        NeedsLogits.Clear();
        Sequences.Clear();
        PageTable.Clear();
        Copies.Clear();
        Freed.Clear();
    }
}

/// <summary>The rows and pages of one sequence in a <see cref="TrunkBatch"/>.</summary>
/// <param name="FirstRow">Index of its first row.</param>
/// <param name="RowCount">Number of its rows in this step.</param>
/// <param name="FirstPage">Index of its first entry in the page table.</param>
/// <param name="PageCount">Entries in the page table: page i holds positions [64 i, 64 i + 64).</param>
public readonly record struct SequenceSlice(int FirstRow, int RowCount, int FirstPage, int PageCount);

/// <summary>Copies the first <paramref name="Tokens"/> tokens of a page, in all layers.</summary>
public readonly record struct PageCopy(int Source, int Destination, int Tokens);
