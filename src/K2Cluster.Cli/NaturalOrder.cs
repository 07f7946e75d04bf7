namespace K2Cluster.Cli;

/// <summary>As people count: host-2 before host-10. Not by the culture's rules, which are not there where .NET runs without ICU.</summary>
internal sealed class NaturalOrder : IComparer<string>
{
    public static NaturalOrder Instance { get; } = new();

    public int Compare(string? x, string? y)
    {
        ReadOnlySpan<char> left = x;
        ReadOnlySpan<char> right = y;
        while (!left.IsEmpty && !right.IsEmpty)
        {
            ReadOnlySpan<char> leftPart = Part(left);
            ReadOnlySpan<char> rightPart = Part(right);
            int order = char.IsAsciiDigit(leftPart[0]) && char.IsAsciiDigit(rightPart[0]) ? CompareNumbers(leftPart, rightPart) : leftPart.SequenceCompareTo(rightPart);
            if (order != 0)
                return order;
            left = left[leftPart.Length..];
            right = right[rightPart.Length..];
        }

        int rest = left.Length - right.Length;
        return rest != 0 ? rest : string.CompareOrdinal(x, y); // 01 and 1 are two names
    }

    /// <summary>The digits that a text starts with, or what is before the first of them.</summary>
    private static ReadOnlySpan<char> Part(ReadOnlySpan<char> text)
    {
        int end = char.IsAsciiDigit(text[0]) ? text.IndexOfAnyExceptInRange('0', '9') : text.IndexOfAnyInRange('0', '9');
        return end < 0 ? text : text[..end];
    }

    private static int CompareNumbers(ReadOnlySpan<char> left, ReadOnlySpan<char> right)
    {
        left = left.TrimStart('0');
        right = right.TrimStart('0');
        return left.Length != right.Length ? left.Length - right.Length : left.SequenceCompareTo(right);
    }
}
