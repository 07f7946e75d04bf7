using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace K2Cluster.Tests;

/// <summary>A safetensors file in memory, to be written whole or taken apart and spoiled.</summary>
internal sealed class SafetensorsFile
{
    private readonly List<byte> _data = [];

    public JsonObject Header { get; private init; } = [];

    public static SafetensorsFile Read(string path)
    {
        byte[] content = File.ReadAllBytes(path);
        int length = (int)BinaryPrimitives.ReadInt64LittleEndian(content);
        SafetensorsFile file = new() { Header = JsonNode.Parse(content.AsSpan(8, length))!.AsObject() };
        file._data.AddRange(content.AsSpan(8 + length));
        return file;
    }

    public void Add(string name, string type, ReadOnlySpan<int> shape, ReadOnlySpan<byte> data)
    {
        int begin = _data.Count;
        _data.AddRange(data);
        Header.Add(name, new JsonObject
        {
            ["dtype"] = type,
            ["shape"] = new JsonArray([.. shape.ToArray().Select(size => (JsonNode)size)]),
            ["data_offsets"] = new JsonArray(begin, _data.Count),
        });
    }

    /// <summary>The bytes of a tensor, to be changed in place.</summary>
    public Span<byte> DataOf(string name)
    {
        JsonArray offsets = Header[name]!["data_offsets"]!.AsArray();
        int begin = (int)offsets[0]!;
        return CollectionsMarshal.AsSpan(_data)[begin..(int)offsets[1]!];
    }

    public void Write(string path) => Write(path, Header.ToJsonString());

    /// <summary>Writes the same data under a header given as text.</summary>
    public void Write(string path, string header)
    {
        byte[] json = Encoding.UTF8.GetBytes(header);
        byte[] length = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, json.Length);
        using FileStream file = File.Create(path);
        file.Write(length);
        file.Write(json);
        file.Write(CollectionsMarshal.AsSpan(_data));
    }
}
