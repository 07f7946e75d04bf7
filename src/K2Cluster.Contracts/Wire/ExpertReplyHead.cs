using System.Buffers.Binary;
using System.Text;

namespace K2Cluster.Contracts.Wire;

/// <summary>As <see cref="ExpertFrameHead"/>, for replies: version (1), status (1), pairs, hidden size (4 each), then the problem's text.</summary>
public static class ExpertReplyHead
{
    /// <summary>What a fabric's head has room for.</summary>
    public const int MaxLength = 1024;

    private const byte Version = 1;
    private const int FixedLength = 1 + 1 + (2 * sizeof(int));

    /// <summary>Writes a head, at most <see cref="MaxLength"/> bytes, and returns its length; the end of a longer text is cut off.</summary>
    public static int Write(Span<byte> head, ExpertReply reply)
    {
        (head[0], head[1]) = (Version, (byte)reply.Status);
        BinaryPrimitives.WriteInt32LittleEndian(head[2..], reply.Pairs);
        BinaryPrimitives.WriteInt32LittleEndian(head[6..], reply.HiddenSize);
        return FixedLength + (reply.Problem is null ? 0 : PayloadWire.Encode(reply.Problem, head[FixedLength..MaxLength]));
    }

    /// <summary>The reply of a head, without its payload, which must have the length that the head says.</summary>
    /// <exception cref="FrameFormatException">It is not allowed.</exception>
    public static ExpertReply Read(ReadOnlySpan<byte> head, int payloadLength)
    {
        if (head.Length < FixedLength || head[0] != Version)
            throw new FrameFormatException($"{nameof(ExpertReply)}: a head of {head.Length} bytes, version {(head.IsEmpty ? 0 : head[0])}; this process speaks {Version}.");
        ExpertReply reply = new()
        {
            Status = (ReplyStatus)head[1],
            Pairs = BinaryPrimitives.ReadInt32LittleEndian(head[2..]),
            HiddenSize = BinaryPrimitives.ReadInt32LittleEndian(head[6..]),
            Problem = head.Length > FixedLength ? Encoding.UTF8.GetString(head[FixedLength..]) : null,
        };
        bool isAllowed = reply.Status == ReplyStatus.Computed
            ? FrameLimits.AllowReply(reply.Pairs, reply.HiddenSize, payloadLength)
            : reply.Status <= ReplyStatus.Malformed && payloadLength == 0;
        return isAllowed
            ? reply
            : throw new FrameFormatException($"{nameof(ExpertReply)}: status {reply.Status}, {reply.Pairs} pairs and hidden size {reply.HiddenSize} in {payloadLength} bytes.");
    }
}
