using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Tests.Fakes;

/// <summary>
/// Runs <see cref="MadeUpModel"/> over KV pages of its own: it writes each row's token into its page and reads all tokens
/// before it back through the page table, so a wrong table, a wrong commit or a page in two hands changes the answer.
/// What the contract calls undefined (freed pages, rows of a step that was not done) is overwritten with nonsense.
/// </summary>
internal sealed class FakeTrunk(int pageCount = 64, int maxRows = 4096, int maxPositions = 1 << 20) : ITrunk
{
    private const int Nonsense = -1;
    private readonly int[] _kv = CreateNonsense(pageCount * ITrunk.PageTokens);
    private readonly HashSet<int> _seen = [];

    public int LayerCount => 3;

    public int HiddenSize => 32;

    public int VocabularySize => MadeUpModel.VocabularySize;

    public int MaxPositions => maxPositions;

    public int PageCount => pageCount;

    public int MaxRows => maxRows;

    /// <summary>Called on the engine's thread before each step; may throw.</summary>
    public Action<TrunkBatch>? BeforeRun { get; set; }

    /// <summary>The status of the i-th sequence of a step.</summary>
    public Func<TrunkBatch, int, RowStatus>? Status { get; set; }

    public int Runs { get; private set; }

    /// <summary>What the engine did that the contract forbids.</summary>
    public List<string> Faults { get; } = [];

    public void Run(TrunkBatch batch, LayerRange layers, TrunkResult result)
    {
        Runs++;
        BeforeRun?.Invoke(batch);
        Check(batch, layers);
        result.Reset(batch.Sequences.Count, batch.NeedsLogits.Count(static wanted => wanted), VocabularySize);
        foreach (int page in batch.Freed)
            _kv.AsSpan(page * ITrunk.PageTokens, ITrunk.PageTokens).Fill(Nonsense);

        int logits = 0;
        for (int i = 0; i < batch.Sequences.Count; i++)
        {
            SequenceSlice slice = batch.Sequences[i];
            RowStatus status = Status?.Invoke(batch, i) ?? RowStatus.Done;
            result.Statuses[i] = status;
            if (status != RowStatus.Done)
                result.Problem ??= "expert 7 of layer 1 is held by nobody";
            for (int row = slice.FirstRow; row < slice.FirstRow + slice.RowCount; row++)
                Slot(batch, slice, batch.Positions[row]) = status == RowStatus.Done ? batch.Tokens[row] : Nonsense;
            for (int row = slice.FirstRow; row < slice.FirstRow + slice.RowCount; row++)
            {
                if (!batch.NeedsLogits[row])
                    continue;
                Span<float> target = result.Logits(logits++);
                if (status == RowStatus.Done)
                    MadeUpModel.Logits(Hash(batch, slice, batch.Positions[row]), target);
                else
                    target.Fill(float.NaN);
            }
        }
    }

    /// <summary>The first token of a sequence's prompt: tests tell sequences by it.</summary>
    public int FirstToken(TrunkBatch batch, int sequence)
    {
        SequenceSlice slice = batch.Sequences[sequence];
        return batch.Positions[slice.FirstRow] == 0 ? batch.Tokens[slice.FirstRow] : Slot(batch, slice, 0);
    }

    public void ReadRows(Span<float> destination) => throw new NotSupportedException();

    public void WriteRows(ReadOnlySpan<float> source) => throw new NotSupportedException();

    public void Dispose()
    {
    }

    private static int[] CreateNonsense(int count)
    {
        int[] values = new int[count];
        Array.Fill(values, Nonsense);
        return values;
    }

    private ref int Slot(TrunkBatch batch, SequenceSlice slice, int position)
    {
        int page = batch.PageTable[slice.FirstPage + (position / ITrunk.PageTokens)];
        return ref _kv[(page * ITrunk.PageTokens) + (position % ITrunk.PageTokens)];
    }

    private ulong Hash(TrunkBatch batch, SequenceSlice slice, int position)
    {
        ulong hash = 0;
        for (int i = 0; i <= position; i++)
        {
            int token = Slot(batch, slice, i);
            if (token == Nonsense)
                Fault($"Position {i} was read before it was written.");
            hash = MadeUpModel.Extend(hash, token);
        }

        return hash;
    }

    private void Check(TrunkBatch batch, LayerRange layers)
    {
        if (layers != new LayerRange(0, LayerCount))
            Fault($"Layers are {layers}.");
        if (batch.Rows == 0 || batch.Rows > maxRows || batch.Positions.Count != batch.Rows || batch.NeedsLogits.Count != batch.Rows)
            Fault($"The batch has {batch.Rows} rows, {batch.Positions.Count} positions, {batch.NeedsLogits.Count} flags.");
        _seen.Clear();
        int row = 0;
        int entry = 0;
        foreach (SequenceSlice slice in batch.Sequences)
        {
            if (slice.FirstRow != row || slice.FirstPage != entry || slice.RowCount < 1)
                Fault($"Slice {slice} does not begin at row {row}, page entry {entry}.");
            for (int i = 1; i < slice.RowCount; i++)
            {
                if (batch.Positions[row + i] != batch.Positions[row] + i)
                    Fault("Positions of a sequence have a gap.");
            }

            row += slice.RowCount;
            entry += slice.PageCount;
            if (batch.Positions[row - 1] >= slice.PageCount * ITrunk.PageTokens)
                Fault($"Slice {slice} has too few pages.");
        }

        if (row != batch.Rows || entry != batch.PageTable.Count)
            Fault("Rows or page entries belong to no sequence.");
        foreach (int page in batch.PageTable)
        {
            if ((uint)page >= (uint)pageCount)
                Fault($"Page {page} does not exist.");
            _seen.Add(page);
        }

        // Several may read a page; who writes it must be the only one to have it.
        foreach (SequenceSlice slice in batch.Sequences)
        {
            int last = batch.Positions[slice.FirstRow + slice.RowCount - 1];
            for (int i = batch.Positions[slice.FirstRow] / ITrunk.PageTokens; i <= last / ITrunk.PageTokens; i++)
            {
                int page = batch.PageTable[slice.FirstPage + i];
                if (batch.PageTable.Count(other => other == page) > 1)
                    Fault($"Page {page} is written and in two hands.");
            }
        }

        foreach (int page in batch.Freed)
        {
            if (!_seen.Add(page))
                Fault($"Page {page} was freed twice, or is in use.");
        }
    }

    private void Fault(string what)
    {
        Faults.Add(what);
        throw new InvalidOperationException(what);
    }
}
