namespace K2Cluster.Engine;

/// <summary>How much the engine takes on at once, and how long it waits.</summary>
public sealed record EngineOptions
{
    /// <summary>Requests that may wait for admission; one more is refused with <see cref="EngineBusyException"/>. Default 1024.</summary>
    public int MaxWaiting { get; init; } = 1024;

    /// <summary>
    /// Requests that run at once, in as far as their KV pages fit. Never more than <see cref="StepTokens"/>: each has a row in
    /// every step. Default 256.
    /// </summary>
    public int MaxRunning { get; init; } = 256;

    /// <summary>Rows of a step, cut to the trunk's MaxRows. More reads prompts faster. Default 512.</summary>
    public int StepTokens { get; init; } = 512;

    /// <summary>
    /// Rows of prompts in a step that has decodes as well: what a decode waits for, at most, between two tokens. Fewer gives
    /// running requests their next token sooner; more reads prompts faster. Default 256.
    /// </summary>
    public int PrefillChunkTokens { get; init; } = 256;

    /// <summary>Whether full KV pages are kept and shared by requests that begin with the same tokens. Default true.</summary>
    public bool PrefixCache { get; init; } = true;

    /// <summary>
    /// Most tokens of a request that a step may draft from its own text and verify, up to 16; 0, the default, for none. The
    /// answers are the same. It gains where answers repeat their prompt (edits, code, quotes), and rows cost little because
    /// few requests run at once.
    /// </summary>
    public int DraftTokens { get; init; }

    /// <summary>How long a sequence whose experts are unavailable waits for its first replay; doubles with each. Default 10 ms.</summary>
    public TimeSpan RetryDelay { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>The most it waits between replays: what an expert that is there again is asked late by, against a part of a step each time. Default 1 s.</summary>
    public TimeSpan MaxRetryDelay { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>The longest time limit that a request may ask for. Default 24 h.</summary>
    public TimeSpan MaxTimeLimit { get; init; } = TimeSpan.FromHours(24);

    /// <summary>How long running requests may go on once the engine is being disposed. Default 10 s.</summary>
    public TimeSpan StopGrace { get; init; } = TimeSpan.FromSeconds(10);

    /// <exception cref="ArgumentException">A value is out of its range.</exception>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxWaiting);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxRunning);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(StepTokens);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(PrefillChunkTokens);
        ArgumentOutOfRangeException.ThrowIfNegative(DraftTokens);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(DraftTokens, 16);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(RetryDelay, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxRetryDelay, RetryDelay);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxRetryDelay, TimeSpan.FromMinutes(1));
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(MaxTimeLimit, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxTimeLimit, TimeSpan.FromDays(30));
        ArgumentOutOfRangeException.ThrowIfLessThan(StopGrace, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(StopGrace, TimeSpan.FromHours(1));
    }
}
