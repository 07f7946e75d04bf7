using System.Text;

namespace K2Cluster.Cli;

/// <summary>Text of a model made fit for a terminal: it may name control sequences, but never send one.</summary>
internal static class TerminalText
{
    public static string Of(string text)
    {
        if (!text.Any(IsHarmful))
            return text;

        StringBuilder safe = new(text.Length);
        foreach (char character in text)
            safe.Append(IsHarmful(character) ? '\uFFFD' : character);
        return safe.ToString();
    }

    private static bool IsHarmful(char character) => char.IsControl(character) && character is not ('\n' or '\t');
}
