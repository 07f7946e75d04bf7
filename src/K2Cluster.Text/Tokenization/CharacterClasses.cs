using System.Globalization;
using System.Text;

namespace K2Cluster.Text.Tokenization;

/// <summary>What K2's pattern asks of a code point.</summary>
[Flags]
internal enum CharacterClass : byte
{
    None = 0,

    /// <summary>\p{Han}, of any category.</summary>
    Han = 1,

    /// <summary>\p{L}.</summary>
    Letter = 2,

    /// <summary>\p{N}.</summary>
    Number = 4,

    /// <summary>\s, line ends included.</summary>
    Space = 8,

    /// <summary>\r or \n.</summary>
    LineEnd = 16,

    /// <summary>[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] that is not Han.</summary>
    UpperWord = 32,

    /// <summary>[\p{Ll}\p{Lm}\p{Lo}\p{M}] that is not Han.</summary>
    LowerWord = 64,
}

/// <summary>
/// Classes of code points, by .NET's own general categories (Unicode 16.0 in .NET 10) and the pinned Han table. A runtime with a
/// newer Unicode may class code points that were unassigned before otherwise; no assigned one changes in a way that matters here.
/// Unpaired surrogates are U+FFFD, since that is what they are encoded as.
/// </summary>
internal static class CharacterClasses
{
    private const CharacterClass Unpaired = CharacterClass.None;

    // 64 KB, filled once in about 1 ms: one load per character of the basic plane instead of a category, a range search and a test.
    private static readonly CharacterClass[] BasicPlane = FillBasicPlane();

    /// <summary>The class of the code point at <paramref name="index"/> and its width in UTF-16 units.</summary>
    public static CharacterClass At(ReadOnlySpan<char> text, int index, out int width)
    {
        char unit = text[index];
        width = 1;
        return char.IsSurrogate(unit) ? AtSurrogate(text[index..], out width) : BasicPlane[unit];
    }

    private static CharacterClass AtSurrogate(ReadOnlySpan<char> text, out int width)
    {
        bool paired = Rune.DecodeFromUtf16(text, out Rune rune, out width) == System.Buffers.OperationStatus.Done;
        return paired ? Classify(rune.Value) : Unpaired;
    }

    private static CharacterClass[] FillBasicPlane()
    {
        var classes = new CharacterClass[0x10000];
        for (int codePoint = 0; codePoint < classes.Length; codePoint++)
            classes[codePoint] = char.IsSurrogate((char)codePoint) ? Unpaired : Classify(codePoint);

        return classes;
    }

    private static CharacterClass Classify(int codePoint)
    {
        if (codePoint is '\r' or '\n')
            return CharacterClass.Space | CharacterClass.LineEnd;
        if (Rune.IsWhiteSpace(new Rune(codePoint)))
            return CharacterClass.Space;

        CharacterClass category = CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
        {
            UnicodeCategory.UppercaseLetter or UnicodeCategory.TitlecaseLetter
                => CharacterClass.Letter | CharacterClass.UpperWord,
            UnicodeCategory.LowercaseLetter
                => CharacterClass.Letter | CharacterClass.LowerWord,
            UnicodeCategory.ModifierLetter or UnicodeCategory.OtherLetter
                => CharacterClass.Letter | CharacterClass.UpperWord | CharacterClass.LowerWord,
            UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark
                => CharacterClass.UpperWord | CharacterClass.LowerWord,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber
                => CharacterClass.Number,
            _ => CharacterClass.None,
        };

        return HanScript.Contains(codePoint)
            ? CharacterClass.Han | (category & ~(CharacterClass.UpperWord | CharacterClass.LowerWord))
            : category;
    }
}
