using System.Text.Json.Serialization;

namespace K2Cluster.Checkpoint;

/// <summary>All that a configuration states, whatever is added to it later.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Serialization)]
[JsonSerializable(typeof(ModelConfig))]
internal sealed partial class FingerprintJson : JsonSerializerContext;
