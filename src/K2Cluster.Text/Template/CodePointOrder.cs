namespace K2Cluster.Text.Template;

/// <summary>Orders strings by code point, as Python does; UTF-16 order puts U+10000 and above before U+E000.</summary>
internal sealed class CodePointOrder : IComparer<string>
{
    public static CodePointOrder Instance { get; } = new();

    public int Compare(string? left, string? right)
    {
        int same = left.AsSpan().CommonPrefixLength(right);
        if (same == left!.Length || same == right!.Length)
            return left.Length.CompareTo(right!.Length);

        return Weight(left, same).CompareTo(Weight(right, same));
    }

    // At the first difference one unit decides, once halves of pairs weigh more than any unit that stands alone. Unpaired ones,
    // which are code points of their own to Python, keep their value.
    private static int Weight(string text, int index)
    {
        char unit = text[index];
        bool paired = (char.IsHighSurrogate(unit) && index + 1 < text.Length && char.IsLowSurrogate(text[index + 1]))
            || (char.IsLowSurrogate(unit) && index > 0 && char.IsHighSurrogate(text[index - 1]));
        return paired ? unit + 0x10000 : unit;
    }
}
