using System.Text.Json;
using K2Cluster.Tests;

namespace K2Cluster.Text.Tests;

internal static class Fixtures
{
    private static readonly Lazy<K2Tokenizer> LoadedK2 = new(() => K2Tokenizer.TryLoad(Repository.Fixture("tokenizer"))!);

    private static readonly Lazy<K2Tokenizer> LoadedNano = new(() => K2Tokenizer.TryLoad(Repository.Path("models", "k2-nano"))!);

    /// <summary>K2's own vocabulary, 163,584 ranks.</summary>
    public static K2Tokenizer K2 => LoadedK2.Value;

    /// <summary>The demo model's vocabulary, 1,792 ranks.</summary>
    public static K2Tokenizer Nano => LoadedNano.Value;

    public static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    public static JsonElement JsonFile(params string[] path) => Json(File.ReadAllText(Repository.Fixture(path)));

    public static int[] Ids(this JsonElement element, string name) =>
        [.. element.GetProperty(name).EnumerateArray().Select(id => id.GetInt32())];
}
