namespace K2Cluster.Contracts;

/// <summary>
/// The answer to an <see cref="ExpertFrame"/>. Payload when Computed: Pairs status bytes padded to a multiple of 8, then
/// Pairs × HiddenSize BF16; otherwise none.
/// </summary>
public sealed class ExpertReply : PooledPayload
{
    public required ReplyStatus Status { get; init; }

    public required int Pairs { get; init; }

    public required int HiddenSize { get; init; }

    /// <summary>Why the frame was refused or pairs of it failed, in words; null otherwise.</summary>
    public string? Problem { get; init; }

    public static int PayloadLength(int pairs, int hiddenSize) => checked(StatusLength(pairs) + (pairs * hiddenSize * sizeof(ushort)));

    /// <summary>Bytes that the padded statuses take.</summary>
    public static int StatusLength(int pairs) => checked(pairs + 7) & ~7;
}
