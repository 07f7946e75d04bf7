namespace K2Cluster.Trunk.Steps;

/// <summary>Refuses a batch that would reach outside the trunk's memory or read positions that were never written.</summary>
internal static class BatchCheck
{
    /// <exception cref="ArgumentException">The batch is not well formed; nothing was run.</exception>
    public static void Check(TrunkBatch batch, ITrunk trunk)
    {
        int rows = batch.Rows;
        if (rows > trunk.MaxRows)
            throw Refused($"{rows} rows; this trunk takes {trunk.MaxRows}");
        if (batch.Positions.Count != rows || batch.NeedsLogits.Count != rows)
            throw Refused($"{rows} tokens, {batch.Positions.Count} positions and {batch.NeedsLogits.Count} logit marks: there must be one each a row");
        for (int row = 0; row < rows; row++)
        {
            if ((uint)batch.Tokens[row] >= (uint)trunk.VocabularySize)
                throw Refused($"row {row} has token {batch.Tokens[row]}; ids run from 0 to {trunk.VocabularySize - 1}");
        }

        int next = 0;
        for (int i = 0; i < batch.Sequences.Count; i++)
        {
            CheckSequence(batch, trunk, i, next);
            next += batch.Sequences[i].RowCount;
        }

        if (next != rows)
            throw Refused($"its sequences have {next} rows of {rows}");
        foreach (PageCopy copy in batch.Copies)
        {
            CheckPage(trunk, copy.Source, "a copy reads");
            CheckPage(trunk, copy.Destination, "a copy writes");
            if (copy.Tokens is < 0 or > ITrunk.PageTokens)
                throw Refused($"a copy of {copy.Tokens} tokens; a page holds {ITrunk.PageTokens}");
        }

        foreach (int page in batch.Freed)
            CheckPage(trunk, page, "freed is");
    }

    private static void CheckSequence(TrunkBatch batch, ITrunk trunk, int index, int firstRow)
    {
        SequenceSlice slice = batch.Sequences[index];
        if (slice.FirstRow != firstRow || slice.RowCount < 1 || slice.RowCount > batch.Rows - firstRow)
            throw Refused($"sequence {index} has {slice.RowCount} rows from {slice.FirstRow} on; rows of sequences follow each other, the next is {firstRow} of {batch.Rows}");

        int first = batch.Positions[firstRow];
        int last = batch.Positions[firstRow + slice.RowCount - 1];
        if (first < 0 || last >= trunk.MaxPositions)
            throw Refused($"sequence {index} has positions {first}..{last}; the model has 0..{trunk.MaxPositions - 1}");
        for (int i = 1; i < slice.RowCount; i++)
        {
            if (batch.Positions[firstRow + i] != first + i)
                throw Refused($"row {firstRow + i} has position {batch.Positions[firstRow + i]} after {batch.Positions[firstRow + i - 1]}; the rows of a sequence rise by one");
        }

        int pages = (last / ITrunk.PageTokens) + 1;
        if (slice.FirstPage < 0 || slice.PageCount < pages || slice.FirstPage > batch.PageTable.Count - slice.PageCount)
            throw Refused($"sequence {index} has {slice.PageCount} pages from {slice.FirstPage} on in a table of {batch.PageTable.Count}; position {last} needs {pages}");
        for (int i = 0; i < pages; i++)
            CheckPage(trunk, batch.PageTable[slice.FirstPage + i], "a sequence has");
    }

    private static void CheckPage(ITrunk trunk, int page, string what)
    {
        if ((uint)page >= (uint)trunk.PageCount)
            throw Refused($"{what} page {page}; ids run from 0 to {trunk.PageCount - 1}");
    }

    private static ArgumentException Refused(string problem) => new($"The batch is refused: {problem}.");
}
