namespace K2Cluster.Engine.Speculation;

/// <summary>
/// Guesses how a text goes on without a model: where its last tokens stood before, what followed them then may follow again
/// (prompt lookup: A. Saxena, 2023). A guess costs a row of the step and changes no answer: each row's token is chosen from
/// the model's own logits, and a guess counts only where it is that token.
/// </summary>
internal static class NGramDrafter
{
    /// <summary>Tokens that must agree.</summary>
    private const int Shortest = 2;

    /// <summary>A longer match is no better than one of this length: the search ends.</summary>
    private const int Longest = 8;

    /// <summary>How far back to look, and at how many places: some 10 µs at the worst.</summary>
    private const int Window = 1 << 15;

    private const int MaxPlaces = 256;

    /// <summary>
    /// Fills <paramref name="draft"/> with what followed the longest, among equals the latest, earlier occurrence of the last tokens.
    /// A repetition goes on as such. Returns the tokens written: all of the draft or none.
    /// </summary>
    public static int Draft(ReadOnlySpan<int> tokens, Span<int> draft)
    {
        if (tokens.Length > Window)
            tokens = tokens[^Window..];
        if (draft.IsEmpty || tokens.Length <= Shortest)
            return 0;
        int source = Find(tokens);
        if (source < 0)
            return 0;
        for (int i = 0; i < draft.Length; i++)
            draft[i] = source + i < tokens.Length ? tokens[source + i] : draft[source + i - tokens.Length];
        return draft.Length;
    }

    /// <summary>Where what followed the best match begins; -1 when there is none.</summary>
    private static int Find(ReadOnlySpan<int> tokens)
    {
        int last = tokens[^1];
        int best = -1;
        int bestLength = Shortest - 1;
        ReadOnlySpan<int> earlier = tokens[..^1];
        for (int place = 0; place < MaxPlaces && bestLength < Longest; place++)
        {
            int end = earlier.LastIndexOf(last);
            if (end < 0)
                break;
            int length = 1;
            while (length < Longest && length <= end && tokens[end - length] == tokens[tokens.Length - 1 - length])
                length++;
            if (length > bestLength)
                (best, bestLength) = (end + 1, length);
            earlier = earlier[..end];
        }

        return best;
    }
}
