namespace K2Cluster.Trunk.Attention;

/// <summary>Up to four rows of one sequence that follow each other, done together so that they share the KV tiles in the cache.</summary>
/// <param name="Row">Their first row, counted in the block.</param>
/// <param name="Count">How many.</param>
/// <param name="Position">The first row's position.</param>
/// <param name="Pages">Where the sequence's pages begin in the step's page table.</param>
/// <param name="Slot">Where their partial sums begin; see <see cref="AttentionRows"/>.</param>
/// <param name="SplitSlots">Slots of a row: none, one that its splits use in turn, or one for each split but the first.</param>
internal readonly record struct RowGroup(int Row, int Count, int Position, int Pages, int Slot, int SplitSlots)
{
    public const int MaxRows = 4;

    public int LastPosition => Position + Count - 1;

    public int Splits => (LastPosition / AttentionRows.SplitTokens) + 1;
}

/// <summary>What one thread does of a block of rows at a time.</summary>
/// <param name="Group">The rows.</param>
/// <param name="FirstHead">The first head.</param>
/// <param name="Heads">1 to <see cref="MaxHeads"/>.</param>
/// <param name="Split">The one split to do, or −1 for all of them.</param>
internal readonly record struct AttentionPart(RowGroup Group, int FirstHead, int Heads, int Split)
{
    public const int MaxHeads = 16;
}
