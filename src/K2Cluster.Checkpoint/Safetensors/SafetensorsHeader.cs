using System.Buffers.Binary;
using System.Text.Json;

namespace K2Cluster.Checkpoint;

/// <summary>
/// The header of a safetensors file: eight bytes of length (little endian), that many bytes of JSON, then the data.
/// Read in full and checked before any tensor is: names unique, length = shape × type, and the data region covered
/// from its first byte to the file's last with neither gap nor overlap.
/// </summary>
internal static class SafetensorsHeader
{
    // The reference implementation's own limit. K2's largest header is under 1 MB.
    private const int MaxHeaderLength = 100_000_000;
    private const int MaxTensors = 1_000_000;
    private const int MaxRank = 8;
    private const int PrefixLength = sizeof(ulong);

    /// <param name="file">The file, just opened.</param>
    /// <param name="fileIndex">What <see cref="TensorInfo.File"/> shall say.</param>
    /// <exception cref="CheckpointException">The header is not what the format asks for.</exception>
    public static Dictionary<string, TensorInfo> Read(CheckpointFile file, int fileIndex)
    {
        byte[] json = new byte[DataStart(file) - PrefixLength];
        if (file.Read(PrefixLength, json) < json.Length)
            throw new CheckpointException($"{file.Path}: ended inside its header while it was read.");

        try
        {
            Dictionary<string, TensorInfo> tensors = ReadTensors(file, fileIndex, json);
            CheckCoverage(file, tensors, PrefixLength + json.Length);
            return tensors;
        }
        catch (JsonException failure)
        {
            throw new CheckpointException($"{file.Path}: its header is not valid JSON: {Printable.Of(failure.Message)}", failure);
        }
        catch (InvalidOperationException failure)
        {
            // What Utf8JsonReader says of text that is not UTF-8 or has half a surrogate pair.
            throw new CheckpointException($"{file.Path}: its header holds invalid text: {Printable.Of(failure.Message)}", failure);
        }
    }

    /// <summary>The byte after the header.</summary>
    /// <exception cref="CheckpointException">The file is too short for the header that it states, or that is too long.</exception>
    public static long DataStart(CheckpointFile file)
    {
        Span<byte> prefix = stackalloc byte[PrefixLength];
        if (file.Read(0, prefix) < PrefixLength)
            throw new CheckpointException($"{file.Path}: {file.Length} bytes are too few for a safetensors file. Is the download complete?");
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxHeaderLength)
            throw new CheckpointException($"{file.Path}: states a header of {length:N0} bytes; at most {MaxHeaderLength:N0} are sensible. It is not a safetensors file, or damaged.");
        if ((long)length > file.Length - PrefixLength)
            throw new CheckpointException($"{file.Path}: states a header of {length:N0} bytes, but has {file.Length:N0} in all: the file is truncated or damaged.");
        return PrefixLength + (long)length;
    }

    private static Dictionary<string, TensorInfo> ReadTensors(CheckpointFile file, int fileIndex, byte[] json)
    {
        Dictionary<string, TensorInfo> tensors = [];
        Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 8 });
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException($"{file.Path}: its header is not a JSON object.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            if (name == "__metadata__")
            {
                reader.Skip();
                continue;
            }

            TensorInfo tensor = ReadTensor(file, fileIndex, name, ref reader, PrefixLength + json.Length);
            if (!tensors.TryAdd(name, tensor))
                throw Fault(file, name, "is there twice");
            if (tensors.Count > MaxTensors)
                throw new CheckpointException($"{file.Path}: more than {MaxTensors:N0} tensors in one file.");
        }

        // Another token after the object's end is an error that the reader raises.
        reader.Read();
        return tensors;
    }

    private static TensorInfo ReadTensor(CheckpointFile file, int fileIndex, string name, ref Utf8JsonReader reader, long dataStart)
    {
        string? type = null;
        long[]? shape = null;
        long[]? offsets = null;
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw Fault(file, name, "is not described by an object");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (reader.ValueTextEquals("dtype"u8) && type is null)
                type = reader.Read() && reader.TokenType == JsonTokenType.String ? reader.GetString() : throw Fault(file, name, "has a dtype that is not a string");
            else if (reader.ValueTextEquals("shape"u8) && shape is null)
                shape = ReadNumbers(file, name, "shape", ref reader);
            else if (reader.ValueTextEquals("data_offsets"u8) && offsets is null)
                offsets = ReadNumbers(file, name, "data_offsets", ref reader);
            else
                throw Fault(file, name, $"has an unknown or repeated key, {Printable.Of(reader.GetString()!)}");
        }

        if (type is null || shape is null || offsets is not [long begin, long end])
            throw Fault(file, name, "needs dtype, shape and two data_offsets");
        if (begin > end)
            throw Fault(file, name, $"has data_offsets that run backwards, {begin:N0} to {end:N0}");
        if (end > file.Length - dataStart)
            throw Fault(file, name, $"should end at byte {end:N0} of the data, but the file has {file.Length - dataStart:N0} there: it is truncated or damaged");
        if (ElementBits(type) is int bits && LengthOf(shape, bits) is var expected && expected != end - begin)
            throw Fault(file, name, $"has {end - begin:N0} bytes where {type} [{string.Join(", ", shape)}] takes {(expected is { } bytes ? bytes.ToString("N0") : "another number")}");
        return new TensorInfo(name, TypeOf(type), shape, fileIndex, dataStart + begin, end - begin);
    }

    private static long[] ReadNumbers(CheckpointFile file, string name, string key, ref Utf8JsonReader reader)
    {
        List<long> numbers = [];
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartArray)
            throw Fault(file, name, $"has a {key} that is not a list");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out long number) || number < 0)
                throw Fault(file, name, $"has a {key} with an entry that is no whole number from 0 up");
            if (numbers.Count == MaxRank)
                throw Fault(file, name, $"has a {key} of more than {MaxRank} entries");
            numbers.Add(number);
        }

        return [.. numbers];
    }

    private static void CheckCoverage(CheckpointFile file, Dictionary<string, TensorInfo> tensors, long dataStart)
    {
        long position = dataStart;
        TensorInfo? previous = null;
        foreach (TensorInfo tensor in tensors.Values.OrderBy(tensor => tensor.Offset).ThenBy(tensor => tensor.ByteLength))
        {
            if (tensor.Offset < position)
                throw Fault(file, tensor.Name, $"overlaps {Printable.Of(previous!.Name)} by {position - tensor.Offset:N0} bytes");
            if (tensor.Offset > position)
                throw Fault(file, tensor.Name, $"starts {tensor.Offset - position:N0} bytes after the end of what precedes it: those bytes belong to no tensor");
            position = tensor.Offset + tensor.ByteLength;
            previous = tensor;
        }

        if (position < file.Length)
            throw new CheckpointException($"{file.Path}: {file.Length - position:N0} stray bytes after the last tensor{(previous is null ? "" : $", {Printable.Of(previous.Name)}")}: the file is damaged.");
    }

    /// <summary>Bytes that the elements take; null where that is no whole number or beyond a long.</summary>
    private static long? LengthOf(long[] shape, int bits)
    {
        if (shape.Contains(0))
            return 0;
        Int128 total = bits;
        foreach (long dimension in shape)
        {
            total *= dimension;
            if (total > long.MaxValue)
                return null;
        }

        return total % 8 == 0 ? (long)(total / 8) : null;
    }

    private static TensorType TypeOf(string type) => type switch
    {
        "BF16" => TensorType.BF16,
        "F32" => TensorType.F32,
        "I32" => TensorType.I32,
        "I64" => TensorType.I64,
        _ => TensorType.Other,
    };

    /// <summary>Bits of an element, for every type that the format names; null for one that is newer than this list.</summary>
    private static int? ElementBits(string type) => type switch
    {
        "F64" or "I64" or "U64" or "C64" => 64,
        "F32" or "I32" or "U32" => 32,
        "BF16" or "F16" or "I16" or "U16" => 16,
        "F8_E4M3" or "F8_E5M2" or "F8_E8M0" or "F8_E4M3FNUZ" or "F8_E5M2FNUZ" or "I8" or "U8" or "BOOL" => 8,
        "F6_E2M3" or "F6_E3M2" => 6,
        "F4" => 4,
        _ => null,
    };

    private static CheckpointException Fault(CheckpointFile file, string tensor, string problem) =>
        new($"{file.Path}: tensor {Printable.Of(tensor)} {problem}.");
}
