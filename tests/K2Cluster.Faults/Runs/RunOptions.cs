namespace K2Cluster.Faults.Runs;

/// <summary>How much load, and how long.</summary>
internal sealed record RunOptions
{
    /// <summary>The checkpoint that is served.</summary>
    public required string Model { get; init; }

    /// <summary>Requests at any time.</summary>
    public int AtOnce { get; init; } = 8;

    /// <summary>Tokens of each request.</summary>
    public int Tokens { get; init; } = 48;

    /// <summary>Between two requests of one client.</summary>
    public TimeSpan Pause { get; init; }

    /// <summary>Requests of a scenario, at least.</summary>
    public int Requests { get; init; } = 60;

    /// <summary>Faults of a scenario that repeats them, at least.</summary>
    public int Faults { get; init; } = 2;

    /// <summary>How long a fault lasts that is mended, and the wait between two.</summary>
    public TimeSpan Length { get; init; } = TimeSpan.FromSeconds(4);

    /// <summary>Where experts must be loaded anew: what a silo may hold (--memory), half of all experts and a little more, of three silos.</summary>
    public string HalfMemory { get; init; } = "480KiB";

    /// <summary>There: bytes of the checkpoint that a silo reads in a second.</summary>
    public double LoadBytesPerSecond { get; init; } = 400e3;
}
