using System.Net.Security;

namespace K2Cluster.Fabric;

/// <summary>Who this end is, and what it allows. Both ends of a connection should have the same limits.</summary>
public sealed record FabricOptions
{
    /// <summary>Only ends with the same one talk to each other. At most 255 bytes of UTF-8.</summary>
    public required string ClusterId { get; init; }

    /// <summary>This end's name, for its peers' messages. At most 255 bytes of UTF-8.</summary>
    public required string Name { get; init; }

    /// <summary>Most bytes of one payload; a frame that announces more ends its connection before anything is rented. Default 16 MiB.</summary>
    public int PayloadBytes { get; init; } = 16 << 20;

    /// <summary>Requests of one connection without an answer, at most; the server ends a connection that sends more. Default 1024.</summary>
    public int Slots { get; init; } = 1024;

    /// <summary>
    /// Bytes of requests, and of the replies that their callers announce, of one connection without an answer, at most, unless
    /// there is one only. Calls beyond wait in their order, at most as many as there are slots; those beyond that are told that it
    /// is full. The server ends a connection whose requests are more. The lesser of both ends' counts. Default 128 MiB.
    /// </summary>
    public int InFlightBytes { get; init; } = 128 << 20;

    /// <summary>Bytes of replies that may wait for a connection to take them; a peer that does not read them is left then. So not less than <see cref="InFlightBytes"/>, or a slow one is left, too. Default 128 MiB.</summary>
    public int QueueBytes { get; init; } = 128 << 20;

    /// <summary>Largest message that its caller writes itself when nothing is in the way. Never more than the socket surely has room for. Default 64 KiB.</summary>
    public int InlineBytes { get; init; } = 64 << 10;

    /// <summary>Connections past their handshake, as many as which a listener accepts no more: others are closed at once. Default 256.</summary>
    public int MaxConnections { get; init; } = 256;

    /// <summary>Connections within their handshake that a listener keeps beside those: strangers take no place of theirs. Default 64.</summary>
    public int MaxHandshakes { get; init; } = 64;

    /// <summary>Those of them that come from one address. Default 16: eight gateways of a host that connect at once; others do so a moment later.</summary>
    public int MaxHandshakesPerAddress { get; init; } = 16;

    /// <summary>How often a connection is looked at; the times below are multiples of it. Default 1 s.</summary>
    public TimeSpan Heartbeat { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Heartbeats without a whole frame, though asked for one, after which a peer counts as silent. Counted, not timed: a pause of this process is no silence of the peer's. Default 3.</summary>
    public int SilentAfter { get; init; } = 3;

    /// <summary>
    /// Heartbeats without a whole frame after which the connection is ended and another one tried: after a network was away,
    /// TCP waits twice as long each time before it sends again. Default 6.
    /// </summary>
    public int RenewAfter { get; init; } = 6;

    /// <summary>Heartbeats that a connection which takes no more calls waits for the answers in flight. Default 30.</summary>
    public int AbandonAfter { get; init; } = 30;

    /// <summary>Heartbeats that connecting and greeting may take. Default 5.</summary>
    public int HandshakeLimit { get; init; } = 5;

    /// <summary>Wait before a second attempt to connect again; doubled each time. The first follows at once. Default 50 ms.</summary>
    public TimeSpan FirstRedial { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Default 2 s.</summary>
    public TimeSpan LongestRedial { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Makes the client's side of TLS, for each connection; null: none.</summary>
    public Func<SslClientAuthenticationOptions>? ClientTls { get; init; }

    /// <summary>Makes the server's side of TLS, for each connection; null: none.</summary>
    public Func<SslServerAuthenticationOptions>? ServerTls { get; init; }

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public FabricCounts Counts { get; init; } = new();

    internal void Check()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(PayloadBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Slots);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(InFlightBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(QueueBytes, PayloadBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(InlineBytes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxConnections);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxHandshakes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MaxHandshakesPerAddress);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(Heartbeat, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfLessThan(RenewAfter, SilentAfter);
        ArgumentOutOfRangeException.ThrowIfLessThan(AbandonAfter, SilentAfter);
        Handshake.Greeting.CheckText(ClusterId);
        Handshake.Greeting.CheckText(Name);
    }
}
