using System.Buffers.Binary;
using System.Text;
using K2Cluster.Fabric.Frames;

namespace K2Cluster.Fabric.Handshake;

/// <summary>
/// Who an end is: the head of Hello and Welcome. Lowest and highest version it speaks (1 each; in a Welcome both are the one
/// chosen), lane (1), slots (4), bytes in flight (4), cluster id and name (length in 1, UTF-8). What follows is of later versions and skipped.
/// </summary>
internal sealed record Greeting(byte LowestVersion, byte HighestVersion, FabricLane Lane, int Slots, int InFlightBytes, string ClusterId, string Name)
{
    private const int FixedLength = 11;

    public static Greeting Of(FabricOptions options, FabricLane lane) =>
        new(FrameHeader.Version, FrameHeader.Version, lane, options.Slots, options.InFlightBytes, options.ClusterId, options.Name);

    public static void CheckText(string text)
    {
        if (Encoding.UTF8.GetByteCount(text) is 0 or > byte.MaxValue)
            throw new ArgumentException($"'{text}': a name has 1 to {byte.MaxValue} bytes of UTF-8.");
    }

    /// <exception cref="ProtocolException">The bytes are no greeting.</exception>
    public static Greeting Read(ReadOnlySpan<byte> head)
    {
        if (head.Length < FixedLength)
            throw new ProtocolException($"a greeting of {head.Length} bytes");
        ReadOnlySpan<byte> texts = head[FixedLength..];
        string clusterId = ReadText(ref texts);
        string name = ReadText(ref texts);
        Greeting greeting = new(head[0], head[1], (FabricLane)head[2], BinaryPrimitives.ReadInt32LittleEndian(head[3..]), BinaryPrimitives.ReadInt32LittleEndian(head[7..]), clusterId, name);
        if (greeting.Lane > FabricLane.Bulk)
            throw new ProtocolException($"a greeting for lane {head[2]}");
        return greeting is { Slots: > 0, InFlightBytes: > 0 }
            ? greeting
            : throw new ProtocolException($"a greeting that offers {greeting.Slots} requests of {greeting.InFlightBytes} bytes in flight");
    }

    public int Write(Span<byte> head)
    {
        (head[0], head[1], head[2]) = (LowestVersion, HighestVersion, (byte)Lane);
        BinaryPrimitives.WriteInt32LittleEndian(head[3..], Slots);
        BinaryPrimitives.WriteInt32LittleEndian(head[7..], InFlightBytes);
        int length = FixedLength;
        foreach (string text in (ReadOnlySpan<string>)[ClusterId, Name])
        {
            int count = Encoding.UTF8.GetBytes(text, head[(length + 1)..]);
            head[length] = (byte)count;
            length += 1 + count;
        }

        return length;
    }

    /// <summary>Why an end that answers to <paramref name="options"/> does not talk to this one; null when it does.</summary>
    public string? Refusal(FabricOptions options)
    {
        if (ClusterId != options.ClusterId)
            return $"{options.Name} is of cluster '{options.ClusterId}', {Name} of '{ClusterId}'";
        return LowestVersion <= FrameHeader.Version && FrameHeader.Version <= HighestVersion
            ? null
            : $"{options.Name} speaks version {FrameHeader.Version} of the fabric, {Name} speaks {LowestVersion} to {HighestVersion}: upgrade the older";
    }

    private static string ReadText(ref ReadOnlySpan<byte> texts)
    {
        if (texts.IsEmpty || texts[0] == 0 || texts.Length <= texts[0])
            throw new ProtocolException("a greeting whose texts are cut off");
        string text = Encoding.UTF8.GetString(texts.Slice(1, texts[0]));
        texts = texts[(1 + texts[0])..];
        return text;
    }
}
