namespace K2Cluster.Contracts;

/// <summary>
/// What a frame or reply may be at most: a peer that says more is refused before anything is allocated. A larger batch goes
/// out as several frames. 16 MiB are 1,100 pairs of Kimi K2; more in one message would keep liveness probes waiting behind it.
/// </summary>
public static class FrameLimits
{
    public const int PayloadBytes = 16 << 20;
    public const int Rows = 1 << 16;
    public const int Pairs = 1 << 16;
    public const int HiddenSize = 1 << 16;

    /// <summary>UTF-8 bytes of <see cref="ExpertReply.Problem"/>.</summary>
    public const int ProblemBytes = 1024;

    /// <summary>How many pairs a frame may have so that neither it nor its reply is too large, even if each pair brings a row of its own.</summary>
    public static int PairsPerFrame(int hiddenSize) => Math.Clamp(PayloadBytes / ((hiddenSize * sizeof(ushort)) + (2 * sizeof(int))), 1, Pairs);

    /// <summary>Whether sizes are within the limits and <paramref name="length"/> is what they make.</summary>
    public static bool AllowFrame(long rows, long pairs, long hiddenSize, long length) =>
        InRange(rows, Rows) && InRange(pairs, Pairs) && InRange(hiddenSize, HiddenSize)
        && length <= PayloadBytes && length == (rows * hiddenSize * sizeof(ushort)) + (pairs * 2 * sizeof(int));

    /// <summary>As <see cref="AllowFrame"/>, for a reply that carries results.</summary>
    public static bool AllowReply(long pairs, long hiddenSize, long length) =>
        InRange(pairs, Pairs) && InRange(hiddenSize, HiddenSize)
        && length <= PayloadBytes && length == ((pairs + 7) & ~7L) + (pairs * hiddenSize * sizeof(ushort));

    /// <summary>Whether the reply to a frame of so many pairs is within the limits.</summary>
    public static bool AllowPairs(long pairs, long hiddenSize) => AllowReply(pairs, hiddenSize, ((pairs + 7) & ~7L) + (pairs * hiddenSize * sizeof(ushort)));

    private static bool InRange(long value, int limit) => value >= 1 && value <= limit;
}
