using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

/// <summary>A reference checkpoint and what the reference computed from it.</summary>
internal sealed class Fixture : IDisposable
{
    private readonly SafetensorsFile _expected;
    private readonly SafetensorsFile _intermediate;

    public Fixture(string name)
    {
        Model = ModelDirectory.Open(Repository.Fixture(name));
        _expected = SafetensorsFile.Read(Repository.Fixture(name, "expected.safetensors"));
        _intermediate = SafetensorsFile.Read(Repository.Fixture(name, "intermediate.safetensors"));
    }

    public ModelDirectory Model { get; }

    public int[] Prompt => [.. Longs(_expected, "input_ids")];

    public int[] GreedyIds => [.. Longs(_expected, "greedy_ids")];

    /// <summary>[positions, vocabulary].</summary>
    public float[][] Logits => [.. MemoryMarshal.Cast<byte, float>(_expected.DataOf("logits")).ToArray().Chunk(Model.Config.VocabularySize)];

    public float[] Values(string name) => MemoryMarshal.Cast<byte, float>(_intermediate.DataOf(name)).ToArray();

    public int[] Ids(string name) => [.. Longs(_intermediate, name)];

    public void Dispose() => Model.Dispose();

    private static IEnumerable<int> Longs(SafetensorsFile file, string name) =>
        MemoryMarshal.Cast<byte, long>(file.DataOf(name)).ToArray().Select(value => (int)value);
}
