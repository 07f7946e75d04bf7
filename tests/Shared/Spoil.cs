using System.Buffers.Binary;
using System.Text.Json.Nodes;

namespace K2Cluster.Tests;

/// <summary>Ways to damage a file of a checkpoint; each is applied to a directory.</summary>
internal static class Spoil
{
    public delegate void SpanEdit(Span<byte> data);

    public static Action<string> Delete(string file) => directory => File.Delete(Path.Combine(directory, file));

    public static Action<string> Replace(string file, string text) => directory => File.WriteAllText(Path.Combine(directory, file), text);

    public static Action<string> Edit(string file, Func<string, string> edit) => directory =>
    {
        string path = Path.Combine(directory, file);
        string before = File.ReadAllText(path);
        string after = edit(before);
        if (after == before)
            throw new InvalidOperationException($"Nothing in {file} changed.");
        File.WriteAllText(path, after);
    };

    public static Action<string> MakeDirectory(string file) => directory =>
    {
        File.Delete(Path.Combine(directory, file));
        Directory.CreateDirectory(Path.Combine(directory, file));
    };

    public static Action<string> LinkTo(string file, string target) => directory =>
    {
        File.Delete(Path.Combine(directory, file));
        File.CreateSymbolicLink(Path.Combine(directory, file), target);
    };

    public static Action<string> Truncate(string file, long length) => directory =>
    {
        using FileStream stream = File.OpenWrite(Path.Combine(directory, file));
        stream.SetLength(length);
    };

    public static Action<string> SetHeaderLength(string file, ulong length) => directory =>
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, length);
        using FileStream stream = File.OpenWrite(Path.Combine(directory, file));
        stream.Write(bytes);
    };

    /// <summary>Puts a value, as JSON text of any kind, where a key of a JSON file was.</summary>
    public static Action<string> Set(string file, string key, string value) => Edit(file, text =>
    {
        JsonObject root = JsonNode.Parse(text)!.AsObject();
        string[] path = key.Split('.');
        SectionOf(root, path)[path[^1]] = "@@@";
        return root.ToJsonString().Replace("\"@@@\"", value);
    });

    public static Action<string> Remove(string file, string key) => Edit(file, text =>
    {
        JsonObject root = JsonNode.Parse(text)!.AsObject();
        string[] path = key.Split('.');
        SectionOf(root, path).Remove(path[^1]);
        return root.ToJsonString();
    });

    private static JsonObject SectionOf(JsonObject root, string[] path) =>
        path[..^1].Aggregate(root, (section, name) => section[name]!.AsObject());

    public static Action<string> EditHeaderText(string file, Func<string, string> edit) => directory =>
    {
        SafetensorsFile shard = SafetensorsFile.Read(Path.Combine(directory, file));
        shard.Write(Path.Combine(directory, file), edit(shard.Header.ToJsonString()));
    };

    public static Action<string> EditHeader(string file, Action<JsonObject> edit) => directory =>
    {
        SafetensorsFile shard = SafetensorsFile.Read(Path.Combine(directory, file));
        edit(shard.Header);
        shard.Write(Path.Combine(directory, file));
    };

    public static Action<string> SetInHeader(string file, string tensor, string key, string value) => directory =>
    {
        SafetensorsFile shard = SafetensorsFile.Read(Path.Combine(directory, file));
        shard.Header[tensor]![key] = "@@@";
        shard.Write(Path.Combine(directory, file), shard.Header.ToJsonString().Replace("\"@@@\"", value));
    };

    public static Action<string> EditData(string file, string tensor, SpanEdit edit) => directory =>
    {
        SafetensorsFile shard = SafetensorsFile.Read(Path.Combine(directory, file));
        edit(shard.DataOf(tensor));
        shard.Write(Path.Combine(directory, file));
    };
}
