namespace K2Cluster.Cli;

/// <summary>What a bench does.</summary>
/// <param name="Url">The gateway's HTTP address.</param>
/// <param name="Requests">Measured requests in all.</param>
/// <param name="Concurrency">Requests under way at once.</param>
/// <param name="MaxTokens">Tokens that each generates: ends of text are ignored.</param>
/// <param name="Prompt">What each asks.</param>
internal sealed record BenchOptions(Uri Url, int Requests, int Concurrency, int MaxTokens, string Prompt);
