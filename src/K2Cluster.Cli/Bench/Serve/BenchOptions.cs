namespace K2Cluster.Cli;

/// <summary>What a serving bench does.</summary>
/// <param name="Url">The gateway's HTTP address.</param>
/// <param name="Requests">Measured requests in all.</param>
/// <param name="Concurrency">Requests under way at once, at most.</param>
/// <param name="MaxTokens">Tokens that each generates: ends of text are ignored.</param>
/// <param name="Prompt">What each asks, where <paramref name="InputLength"/> is 0.</param>
/// <param name="InputLength">Random tokens that each request's prompt has, other ones for each; 0 for the prompt as text.</param>
/// <param name="RequestRate">Requests a second that arrive, by a Poisson process; null for all at once.</param>
/// <param name="Seed">Of prompts and arrivals.</param>
internal sealed record BenchOptions(
    Uri Url, int Requests, int Concurrency, int MaxTokens, string Prompt, int InputLength = 0, double? RequestRate = null, int Seed = 0);
