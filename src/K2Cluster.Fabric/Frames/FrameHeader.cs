using System.Buffers.Binary;
using System.IO.Hashing;

namespace K2Cluster.Fabric.Frames;

/// <summary>
/// The first 32 bytes of a frame, little endian: magic "K2FB" (4), version (1), type (1), head length (2), payload length (4),
/// zero (4), id (8), checksum (8). The head follows, then the payload. The checksum is XXH3-64 of the payload, seeded with
/// XXH3-64 of header and head, the checksum's own bytes being zero.
/// </summary>
internal readonly record struct FrameHeader(FrameType Type, ulong Id, int HeadLength, int PayloadLength, ulong Checksum)
{
    public const int Length = 32;

    /// <summary>The only version there is; the greetings agree on it.</summary>
    public const byte Version = 1;

    public const int MaxHeadLength = 1024;

    private const uint Magic = 0x4246_324B;
    private const int ChecksumAt = 24;

    /// <summary>Writes header and head, with the checksum, and returns how many bytes they take.</summary>
    public static int Write(Span<byte> destination, FrameType type, ulong id, ReadOnlySpan<byte> head, ReadOnlySpan<byte> payload)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(destination, Magic);
        destination[4] = Version;
        destination[5] = (byte)type;
        BinaryPrimitives.WriteUInt16LittleEndian(destination[6..], (ushort)head.Length);
        BinaryPrimitives.WriteInt32LittleEndian(destination[8..], payload.Length);
        BinaryPrimitives.WriteInt32LittleEndian(destination[12..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[16..], id);
        BinaryPrimitives.WriteUInt64LittleEndian(destination[ChecksumAt..], 0);
        head.CopyTo(destination[Length..]);
        int length = Length + head.Length;
        BinaryPrimitives.WriteUInt64LittleEndian(destination[ChecksumAt..], Hash(destination[..length], payload));
        return length;
    }

    /// <summary>Reads a header and clears its checksum in place, as the checksum is of bytes without it.</summary>
    /// <exception cref="ProtocolException">It is not allowed.</exception>
    public static FrameHeader Read(Span<byte> source, int maxPayload)
    {
        uint magic = BinaryPrimitives.ReadUInt32LittleEndian(source);
        if (magic != Magic)
            throw new ProtocolException($"a frame begins with {magic:x8}, not with {Magic:x8}");
        if (source[4] != Version)
            throw new ProtocolException($"a frame of version {source[4]}; this process speaks {Version}");
        FrameType type = (FrameType)source[5];
        int headLength = BinaryPrimitives.ReadUInt16LittleEndian(source[6..]);
        uint payloadLength = BinaryPrimitives.ReadUInt32LittleEndian(source[8..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(source[12..]) != 0)
            throw new ProtocolException("a header's reserved bytes are not zero");

        (int mostHead, int mostPayload) = type switch
        {
            FrameType.Request or FrameType.Reply => (MaxHeadLength, maxPayload),
            FrameType.Hello or FrameType.Welcome or FrameType.Refusal or FrameType.Pong => (MaxHeadLength, 0),
            FrameType.Cancel or FrameType.Ping or FrameType.Goodbye => (0, 0),
            _ => throw new ProtocolException($"a frame of unknown type {(byte)type}"),
        };
        if (headLength > mostHead)
            throw new ProtocolException($"a {type} with a head of {headLength} bytes, at most {mostHead} are allowed");
        if (payloadLength > mostPayload)
            throw new ProtocolException($"a {type} with a payload of {payloadLength} bytes, at most {mostPayload} are allowed");

        ulong id = BinaryPrimitives.ReadUInt64LittleEndian(source[16..]);
        ulong checksum = BinaryPrimitives.ReadUInt64LittleEndian(source[ChecksumAt..]);
        BinaryPrimitives.WriteUInt64LittleEndian(source[ChecksumAt..], 0);
        return new FrameHeader(type, id, headLength, (int)payloadLength, checksum);
    }

    /// <summary>The checksum of a frame.</summary>
    /// <param name="headerAndHead">With the checksum's bytes zero.</param>
    /// <param name="payload">The payload.</param>
    public static ulong Hash(ReadOnlySpan<byte> headerAndHead, ReadOnlySpan<byte> payload)
    {
        ulong hash = XxHash3.HashToUInt64(headerAndHead);
        return payload.IsEmpty ? hash : XxHash3.HashToUInt64(payload, (long)hash);
    }
}
