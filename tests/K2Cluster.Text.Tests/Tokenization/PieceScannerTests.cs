using System.Text;
using System.Text.RegularExpressions;
using K2Cluster.Text.Tokenization;

namespace K2Cluster.Text.Tests.Tokenization;

public class PieceScannerTests
{
    // .NET's Regex can say the pattern for the basic plane, once Han is spelt out and ' ſ is given to 's by hand. (U+16FF0 and the
    // other astral ranges are what it cannot say.)
    private const string Han = @"\u2E80-\u2E99\u2E9B-\u2EF3\u2F00-\u2FD5\u3005\u3007\u3021-\u3029\u3038-\u303B\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFA6D\uFA70-\uFAD9";
    private const string Upper = @"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}-[" + Han + "]]";
    private const string Lower = @"[\p{Ll}\p{Lm}\p{Lo}\p{M}-[" + Han + "]]";
    private const string Contraction = "(?:'[sS\u017FtTmMdD]|'[rRvV][eE]|'[lL][lL])?";

    private static readonly Regex BasicPlanePattern = new(string.Join('|',
        $"[{Han}]+",
        @"[^\r\n\p{L}\p{N}]?" + Upper + "*" + Lower + "+" + Contraction,
        @"[^\r\n\p{L}\p{N}]?" + Upper + "+" + Lower + "*" + Contraction,
        @"\p{N}{1,3}",
        @" ?[^\s\p{L}\p{N}]+[\r\n]*",
        @"\s*[\r\n]+",
        @"\s+(?!\S)",
        @"\s+"), RegexOptions.CultureInvariant);

    [Theory]
    [InlineData("getUserName", "get|User|Name")]
    [InlineData("iPhone", "i|Phone")]
    [InlineData("HTTPServer isn't ready", "HTTPServer| isn't| ready")]
    [InlineData("々〇x", "々〇|x")]
    [InlineData("1234567", "123|456|7")]
    [InlineData("x'S Y'T", "x'S| Y'T")]
    [InlineData("  leading and   trailing  ", " | leading| and|  | trailing|  ")]
    [InlineData("it\u2019s it'\u017F we'LL we'l", "it|\u2019s| it'\u017F| we'LL| we|'l")]
    [InlineData("a\u0085b", "a|\u0085b")]
    [InlineData("a\u180Eb\uFEFFc", "a|\u180Eb|\uFEFFc")]
    [InlineData("1\u30072", "1\u30072")]
    [InlineData("!\u2E80\u2E80", "!\u2E80\u2E80")]
    [InlineData("\u0301AB", "\u0301|AB")]
    [InlineData("\u00AABC", "\u00AA|BC")]
    [InlineData("ab\u0301C\u0301D", "ab\u0301|C\u0301|D")]
    [InlineData("a\U00016FF0b\U00016FF1", "a|\U00016FF0|b|\U00016FF1")]
    [InlineData("\U00020000\U0002EBF0x\U000323AFy\U000323B0", "\U00020000\U0002EBF0|x|\U000323AF|y|\U000323B0")]
    [InlineData("\U00010400\U00010428\U00010400", "\U00010400\U00010428|\U00010400")]
    [InlineData("\U0001D7CE\U0001D7CE\U0001D7CE\U0001D7CE", "\U0001D7CE\U0001D7CE\U0001D7CE|\U0001D7CE")]
    [InlineData("x \r\n \n  y", "x| \r\n \n| | y")]
    [InlineData("...\r\n\r\n z", "...\r\n\r\n| z")]
    [InlineData("  ", "  ")]
    public void Cuts_as_the_pattern_does(string text, string pieces) => Assert.Equal(pieces.Split('|'), Pieces(text));

    [Fact]
    public void Cuts_as_a_regex_does_within_the_basic_plane()
    {
        // Few characters, each of another kind to the pattern, so that short texts meet every rule.
        const string Kinds = "aBz\u00AA\u02B0\u01C5\u03011\u0662\u2160\u6F22\u3007\u3005\u2E80\u303B !_'\u017FsStTrReEvVlLdDmM \t\u00A0\u3000\u0085\r\n\n\u001C\u200B\uFEFF\uE000\u0378";
        Random random = new(20);
        for (int round = 0; round < 40_000; round++)
        {
            StringBuilder text = new();
            for (int length = random.Next(1, 14); length > 0; length--)
                text.Append(random.Next(8) == 0 ? AnyOfBasicPlane(random) : Kinds[random.Next(Kinds.Length)]);

            Assert.Equal(BasicPlanePattern.Matches(text.ToString()).Select(match => match.Value), Pieces(text.ToString()));
        }
    }

    [Fact]
    public void Han_has_as_many_code_points_as_in_unicode_16() =>
        Assert.Equal(99030, Enumerable.Range(0, 0x110000).Count(HanScript.Contains));

    private static char AnyOfBasicPlane(Random random)
    {
        char unit = (char)random.Next(0x10000);
        return char.IsSurrogate(unit) ? ' ' : unit;
    }

    private static List<string> Pieces(string text)
    {
        List<string> pieces = [];
        while (text.Length > 0)
        {
            int length = PieceScanner.FirstPiece(text);
            pieces.Add(text[..length]);
            text = text[length..];
        }

        return pieces;
    }
}
