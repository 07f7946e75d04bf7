namespace K2Cluster.Text.Tokenization;

/// <summary>
/// Cuts text into the pieces within which bytes are merged: K2's pre-tokenizer pattern as a scanner, since .NET's Regex has
/// neither script classes nor code points. Leftmost alternative first, as the pattern has them:
/// <code>
/// [\p{Han}]+
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&amp;&amp;[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&amp;&amp;[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&amp;&amp;[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&amp;&amp;[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// \p{N}{1,3}
///  ?[^\s\p{L}\p{N}]+[\r\n]*
/// \s*[\r\n]+
/// \s+(?!\S)
/// \s+
/// </code>
/// Every alternative is one or two passes over what it takes, so a text is cut in linear time.
/// </summary>
internal static class PieceScanner
{
    /// <summary>The length in UTF-16 units of the first piece of a text that is not empty.</summary>
    public static int FirstPiece(ReadOnlySpan<char> text)
    {
        CharacterClass first = CharacterClasses.At(text, 0, out int width);
        if ((first & CharacterClass.Han) != 0)
            return Run(text, 0, CharacterClass.Han);

        int end = Word(text, first, width);
        if (end > 0)
            return end;
        if ((first & CharacterClass.Number) != 0)
            return Number(text);

        end = Symbols(text);
        return end > 0 ? end : Whitespace(text);
    }

    private static int Word(ReadOnlySpan<char> text, CharacterClass first, int firstWidth)
    {
        const CharacterClass NoPrefix = CharacterClass.LineEnd | CharacterClass.Letter | CharacterClass.Number;
        int start = (first & NoPrefix) == 0 ? firstWidth : 0;

        // A mark can be the prefix or the word itself: the pattern tries it as the prefix first.
        int end = EndingLower(text, start);
        if (end < 0 && start > 0)
            end = EndingLower(text, 0);
        if (end < 0)
        {
            // No lower-case or caseless character: upper case only, and nothing of [..]* can follow it.
            end = Run(text, start, CharacterClass.UpperWord);
            if (end == start)
                return 0;
        }

        return end + Contraction(text[end..]);
    }

    // [upper]*[lower]+ with the pattern's backtracking: caseless letters and marks are in both classes, so when nothing of [lower]
    // follows the run, its last caseless character is given back and the match ends there.
    private static int EndingLower(ReadOnlySpan<char> text, int start)
    {
        int afterCaseless = -1;
        int index = start;
        while (index < text.Length)
        {
            CharacterClass found = CharacterClasses.At(text, index, out int width);
            if ((found & CharacterClass.UpperWord) == 0)
                break;

            index += width;
            if ((found & CharacterClass.LowerWord) != 0)
                afterCaseless = index;
        }

        int end = Run(text, index, CharacterClass.LowerWord);
        return end > index ? end : afterCaseless;
    }

    // (?i:'s|'t|'re|'ve|'m|'ll|'d)?, where Unicode's case folding makes U+017F an s.
    private static int Contraction(ReadOnlySpan<char> text)
    {
        if (text.Length < 2 || text[0] != '\'')
            return 0;

        switch (text[1])
        {
            case 's' or 'S' or '\u017F' or 't' or 'T' or 'm' or 'M' or 'd' or 'D':
                return 2;
            case 'r' or 'R' or 'v' or 'V':
                return text.Length > 2 && text[2] is 'e' or 'E' ? 3 : 0;
            case 'l' or 'L':
                return text.Length > 2 && text[2] is 'l' or 'L' ? 3 : 0;
            default:
                return 0;
        }
    }

    private static int Number(ReadOnlySpan<char> text)
    {
        int end = 0;
        for (int digits = 0; digits < 3 && end < text.Length; digits++)
        {
            if ((CharacterClasses.At(text, end, out int width) & CharacterClass.Number) == 0)
                break;
            end += width;
        }

        return end;
    }

    private static int Symbols(ReadOnlySpan<char> text)
    {
        int start = text[0] == ' ' ? 1 : 0;
        int end = RunWithout(text, start, CharacterClass.Space | CharacterClass.Letter | CharacterClass.Number);
        return end == start ? 0 : Run(text, end, CharacterClass.LineEnd);
    }

    private static int Whitespace(ReadOnlySpan<char> text)
    {
        int end = Run(text, 0, CharacterClass.Space);
        int lastLineEnd = text[..end].LastIndexOfAny('\r', '\n');
        if (lastLineEnd >= 0)
            return lastLineEnd + 1;

        // \s+(?!\S): the last space goes with the word that follows.
        return end == text.Length || end == 1 ? end : end - 1;
    }

    private static int Run(ReadOnlySpan<char> text, int start, CharacterClass wanted)
    {
        int index = start;
        while (index < text.Length && (CharacterClasses.At(text, index, out int width) & wanted) != 0)
            index += width;

        return index;
    }

    private static int RunWithout(ReadOnlySpan<char> text, int start, CharacterClass unwanted)
    {
        int index = start;
        while (index < text.Length && (CharacterClasses.At(text, index, out int width) & unwanted) == 0)
            index += width;

        return index;
    }
}
