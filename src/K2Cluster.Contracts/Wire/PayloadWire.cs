using System.Text;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.WireProtocol;

namespace K2Cluster.Contracts.Wire;

/// <summary>What the two codecs share. A message is one length-prefixed field: other versions skip it whole.</summary>
internal static class PayloadWire
{
    /// <summary>The layout of the header; a reader refuses others.</summary>
    public const byte Version = 1;

    public static void CheckField(Field field, string type)
    {
        if (field.WireType != WireType.LengthPrefixed)
            throw new FrameFormatException($"{type}: expected wire type {WireType.LengthPrefixed}, got {field.WireType}.");
    }

    /// <summary>Reads the length of the message, which must be there in full.</summary>
    public static long ReadEnd<TInput>(ref Reader<TInput> reader, string type)
    {
        uint length = reader.ReadVarUInt32();
        if (length > reader.Remaining)
            throw new FrameFormatException($"{type}: {length} bytes announced, {reader.Remaining} there.");
        long end = reader.Position + length;
        byte version = reader.ReadByte();
        if (version != Version)
            throw new FrameFormatException($"{type}: version {version}; this process speaks {Version}.");
        return end;
    }

    /// <summary>The message must end where it said it would, so that what follows it is read from the right place.</summary>
    public static void CheckEnd<TInput>(ref Reader<TInput> reader, long end, string type)
    {
        if (reader.Position != end)
            throw new FrameFormatException($"{type}: ends at {reader.Position}, announced {end}.");
    }

    public static void ReadPayload<TInput>(ref Reader<TInput> reader, PooledPayload message, int length)
    {
        message.Rent(length);
        reader.ReadBytes(message.Payload.Span);
    }

    public static string? ReadText<TInput>(ref Reader<TInput> reader, int limit, string type)
    {
        uint length = reader.ReadVarUInt32();
        if (length > limit)
            throw new FrameFormatException($"{type}: a text of {length} bytes, at most {limit} are allowed.");
        Span<byte> bytes = stackalloc byte[(int)length];
        reader.ReadBytes(bytes);
        return length == 0 ? null : Encoding.UTF8.GetString(bytes);
    }

    /// <summary>Encodes a text of a bounded length; the rest of a longer one is cut off.</summary>
    public static int Encode(string? text, Span<byte> bytes)
    {
        Encoder encoder = Encoding.UTF8.GetEncoder();
        encoder.Convert(text, bytes, flush: true, out _, out int used, out _);
        return used;
    }

    public static int VarLength(uint value) => value < 1 << 7 ? 1 : value < 1 << 14 ? 2 : value < 1 << 21 ? 3 : value < 1 << 28 ? 4 : 5;
}
