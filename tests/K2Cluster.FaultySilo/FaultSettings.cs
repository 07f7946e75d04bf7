using System.Globalization;

namespace K2Cluster.FaultySilo;

/// <summary>
/// What is to be wrong with this silo, from K2_FAULTS: "name=value" separated by commas. The faults themselves are on while a
/// file of their name is in the folder.
/// </summary>
internal sealed record FaultSettings
{
    /// <summary>The environment variable.</summary>
    public const string Variable = "K2_FAULTS";

    /// <summary>(row, expert) pairs that a device computes in a second at most; 0 for as many as it can. "pairs-per-second".</summary>
    public double PairsPerSecond { get; init; }

    /// <summary>Bytes of experts that are read in a second at most; 0 for as many as can be. "load-bytes-per-second".</summary>
    public double LoadBytesPerSecond { get; init; }

    /// <summary>Where faults are switched on by files; null for nowhere. "folder".</summary>
    public string? Folder { get; init; }

    public static FaultSettings FromEnvironment()
    {
        FaultSettings settings = new();
        foreach (string part in (Environment.GetEnvironmentVariable(Variable) ?? "").Split(',', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = part.Split('=', 2);
            settings = pair[0] switch
            {
                "pairs-per-second" => settings with { PairsPerSecond = double.Parse(pair[1], CultureInfo.InvariantCulture) },
                "load-bytes-per-second" => settings with { LoadBytesPerSecond = double.Parse(pair[1], CultureInfo.InvariantCulture) },
                "folder" => settings with { Folder = pair[1] },
                _ => throw new InvalidOperationException($"{Variable}: there is no {pair[0]}."),
            };
        }

        return settings;
    }

    /// <summary>Whether a fault is switched on now.</summary>
    public bool IsOn(string fault) => Folder is not null && File.Exists(Path.Combine(Folder, fault));
}
