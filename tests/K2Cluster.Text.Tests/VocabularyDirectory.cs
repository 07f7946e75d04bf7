using System.Text.Json.Nodes;

namespace K2Cluster.Text.Tests;

/// <summary>A temporary directory with the 256 single bytes as its vocabulary.</summary>
internal sealed class VocabularyDirectory : IDisposable
{
    public VocabularyDirectory() =>
        WriteRanks([.. Enumerable.Range(0, 256).Select(value => $"{Convert.ToBase64String([(byte)value])} {value}")]);

    public string Path { get; } = Directory.CreateTempSubdirectory("k2-vocabulary-").FullName;

    public void WriteRanks(params string[] lines) => WriteRankText(string.Join('\n', lines) + "\n");

    public void WriteRankText(string text) => File.WriteAllText(System.IO.Path.Combine(Path, "tiktoken.model"), text);

    public void WriteConfiguration(string json) => File.WriteAllText(System.IO.Path.Combine(Path, "tokenizer_config.json"), json);

    public void WriteNames(params (int Id, string Name)[] names)
    {
        JsonObject decoder = [];
        foreach ((int id, string name) in names)
            decoder.Add(id.ToString(), new JsonObject { ["content"] = name });
        WriteConfiguration(new JsonObject { ["added_tokens_decoder"] = decoder }.ToJsonString());
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
