using System.Text;

namespace K2Cluster.Checkpoint;

/// <summary>Text out of a file, made fit for one line of a message.</summary>
internal static class Printable
{
    private const int Longest = 160;

    public static string Of(string text)
    {
        StringBuilder line = new();
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (line.Length >= Longest)
                return line.Append('…').ToString();
            line.Append(Rune.IsControl(rune) ? new Rune('\uFFFD') : rune);
        }

        return line.ToString();
    }
}
