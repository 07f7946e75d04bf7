namespace K2Cluster.Cli;

/// <summary>The network between gateway and silos.</summary>
/// <param name="Name">As it was given.</param>
/// <param name="RoundTrip">There and back without content.</param>
/// <param name="BytesPerSecond">One way.</param>
internal sealed record NetworkSpec(string Name, TimeSpan RoundTrip, double BytesPerSecond)
{
    public const string Syntax = "1GbE, 10GbE, 25GbE, 100GbE, or a round trip and a rate, as in 80us@10Gb/s (8Kb/s or more)";

    /// <summary>Round trips of TCP between processes, and 94 % of the line for content.</summary>
    private static readonly Dictionary<string, string> Known = new(StringComparer.OrdinalIgnoreCase)
    {
        ["1GbE"] = "200us@0.94Gb/s",
        ["10GbE"] = "80us@9.4Gb/s",
        ["25GbE"] = "80us@23.5Gb/s",
        ["100GbE"] = "80us@94Gb/s",
    };

    /// <exception cref="CommandException">It is not as <see cref="Syntax"/> says.</exception>
    public static NetworkSpec Parse(string text)
    {
        string[] parts = Known.GetValueOrDefault(text, text).Split('@');
        double rate = double.PositiveInfinity;
        if (parts.Length > 2 || !Quantity.TryDuration(parts[0], out TimeSpan roundTrip) || (parts.Length == 2 && !Quantity.TryRate(parts[1], out rate)))
            throw new CommandException($"--network {TerminalText.Of(text)}: {Syntax} is expected.");
        return new NetworkSpec(text, roundTrip, rate);
    }
}
