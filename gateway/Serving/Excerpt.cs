namespace K2Cluster.Gateway.Serving;

/// <summary>What of a client's text fits into a message about it.</summary>
internal static class Excerpt
{
    private const int Longest = 64;

    public static string Of(string text)
    {
        if (text.Length <= Longest)
            return text;
        int end = char.IsHighSurrogate(text[Longest - 1]) ? Longest - 1 : Longest;
        return text[..end] + "…";
    }
}
