namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>Cuts PTX text into tokens; comments and debug lines (<c>.file</c>, <c>.loc</c>) are dropped.</summary>
internal static class PtxLexer
{
    public static List<PtxToken> Read(string text, string source)
    {
        List<PtxToken> tokens = [];
        int at = 0;
        int line = 1;
        while (at < text.Length)
        {
            char c = text[at];
            if (c == '\n')
            {
                line++;
                at++;
            }
            else if (char.IsWhiteSpace(c))
            {
                at++;
            }
            else if (c == '/' && at + 1 < text.Length && text[at + 1] == '/')
            {
                at = EndOfLine(text, at);
            }
            else if (c == '/' && at + 1 < text.Length && text[at + 1] == '*')
            {
                int end = text.IndexOf("*/", at + 2, StringComparison.Ordinal);
                if (end < 0)
                    throw new PtxSyntaxException(source, line, "a comment does not end");
                line += text.AsSpan(at, end - at).Count('\n');
                at = end + 2;
            }
            else if (c == '"')
            {
                int end = text.IndexOf('"', at + 1);
                if (end < 0)
                    throw new PtxSyntaxException(source, line, "a string does not end");
                tokens.Add(new PtxToken(PtxTokenKind.Text, text[(at + 1)..end], line));
                at = end + 1;
            }
            else if (char.IsAsciiDigit(c))
            {
                int start = at;
                while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] == '.'))
                    at++;
                tokens.Add(new PtxToken(PtxTokenKind.Number, text[start..at], line));
            }
            else if (IsWordStart(c))
            {
                int start = at;
                at = EndOfWord(text, at);
                string word = text[start..at];
                if (word is ".file" or ".loc")
                    at = EndOfLine(text, at);
                else
                    tokens.Add(new PtxToken(c == '.' ? PtxTokenKind.Directive : PtxTokenKind.Word, word, line));
            }
            else if ("{}()[],;:@!<>=+-|".Contains(c, StringComparison.Ordinal))
            {
                tokens.Add(new PtxToken(PtxTokenKind.Mark, c.ToString(), line));
                at++;
            }
            else
            {
                throw new PtxSyntaxException(source, line, $"unexpected character '{c}'");
            }
        }

        tokens.Add(new PtxToken(PtxTokenKind.End, "", line));
        return tokens;
    }

    private static int EndOfLine(string text, int at)
    {
        int end = text.IndexOf('\n', at);
        return end < 0 ? text.Length : end;
    }

    private static bool IsWordStart(char c) => char.IsAsciiLetter(c) || c is '_' or '$' or '%' or '.';

    /// <summary>A word goes on over letters, digits, dots and the "::" of modifiers such as L1::no_allocate.</summary>
    private static int EndOfWord(string text, int at)
    {
        at++;
        while (at < text.Length)
        {
            char c = text[at];
            if (char.IsAsciiLetterOrDigit(c) || c is '_' or '$' or '%' or '.')
                at++;
            else if (c == ':' && at + 1 < text.Length && text[at + 1] == ':')
                at += 2;
            else
                break;
        }

        return at;
    }
}
