namespace K2Cluster.Client;

/// <summary>How long a client tries.</summary>
public sealed record K2ClientOptions
{
    /// <summary>
    /// How long an answer that has begun looks for a gateway that goes on with it, once its own is gone. Default 60 s: time for
    /// one to start where there was one only.
    /// </summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>
    /// How long a request of which nothing came yet looks for a gateway that takes it, where they do not answer or are not
    /// ready; each is tried once at least. Where all are full, that is told at once. Default 10 s.
    /// </summary>
    public TimeSpan StartPatience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a connection may take. Default 3 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>
    /// After how long a connection that is silent is asked whether it lives, and how long its answer may take: so that a host
    /// that is gone without a word is left. Default 5 s.
    /// </summary>
    public TimeSpan PingInterval { get; init; } = TimeSpan.FromSeconds(5);

    internal TimeProvider Time { get; init; } = TimeProvider.System;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Patience, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(StartPatience, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(ConnectTimeout, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(PingInterval, TimeSpan.FromSeconds(1));
    }
}
