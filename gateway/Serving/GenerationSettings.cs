namespace K2Cluster.Gateway.Serving;

/// <summary>What a request says about how to generate, as it says it: absent stays null.</summary>
internal sealed record GenerationSettings
{
    public int? MaxTokens { get; init; }

    public double? Temperature { get; init; }

    public double? TopP { get; init; }

    public ulong? Seed { get; init; }

    public IReadOnlyList<string> Stops { get; init; } = [];

    /// <summary>Generate on past the tokens that end a text.</summary>
    public bool IgnoreEos { get; init; }

    /// <summary>The client takes token ids beside the text, or in its place.</summary>
    public bool ReturnTokenIds { get; init; }

    /// <summary>Null for the gateway's own limit.</summary>
    public TimeSpan? TimeLimit { get; init; }
}
