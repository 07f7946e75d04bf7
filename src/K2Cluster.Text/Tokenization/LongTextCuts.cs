namespace K2Cluster.Text.Tokenization;

/// <summary>
/// Where K2's published tokenizer cuts a long text before it encodes the parts on their own: every 400,000 code points, and within
/// those wherever a run of white space, or of anything else, grows past 25,000. The cuts are visible in the ids, so they are made alike.
/// </summary>
internal static class LongTextCuts
{
    private const int LongestText = 400_000;
    private const int LongestRun = 25_000;

    /// <summary>The cuts in increasing order, as UTF-16 indices; none for most texts.</summary>
    public static List<int> Find(ReadOnlySpan<char> text)
    {
        List<int> cuts = [];
        if (text.Length <= LongestRun)
            return cuts;

        int run = 0;
        bool runIsSpace = false;
        int codePoints = 0;
        for (int index = 0, width; index < text.Length; index += width, codePoints++)
        {
            bool space = IsPythonSpace(text, index, out width);
            if (codePoints == LongestText)
            {
                cuts.Add(index);
                codePoints = 0;
                run = 0;
            }

            run = space == runIsSpace ? run + 1 : 1;
            runIsSpace = space;
            if (run > LongestRun)
            {
                cuts.Add(index);
                run = 1;
            }
        }

        return cuts;
    }

    // str.isspace() knows four more separators than \s does.
    private static bool IsPythonSpace(ReadOnlySpan<char> text, int index, out int width) =>
        (CharacterClasses.At(text, index, out width) & CharacterClass.Space) != 0 || text[index] is >= '\u001C' and <= '\u001F';
}
