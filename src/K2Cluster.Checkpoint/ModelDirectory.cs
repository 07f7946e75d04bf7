namespace K2Cluster.Checkpoint;

/// <summary>
/// A checkpoint as published: a directory with <c>config.json</c>, safetensors files and, optionally,
/// <c>generation_config.json</c> and a tokenizer. Opening reads the configuration and the index, no weights and no
/// shard; <see cref="TensorCatalog.CheckTrunk"/> and <see cref="TensorCatalog.CheckExpert"/> check what a role needs.
/// </summary>
public sealed class ModelDirectory : IDisposable
{
    private readonly SafetensorsSource _source;

    private ModelDirectory(string path, ModelConfig config, GenerationConfig generation, SafetensorsSource source)
    {
        Path = path;
        Config = config;
        Generation = generation;
        Catalog = new TensorCatalog(config);
        _source = source;
    }

    /// <summary>The directory's full path.</summary>
    public string Path { get; }

    public ModelConfig Config { get; }

    public GenerationConfig Generation { get; }

    public TensorCatalog Catalog { get; }

    public ITensorSource Tensors => _source;

    /// <summary>Paths of the shard files that the weights lie in.</summary>
    public IReadOnlyList<string> WeightFiles => _source.Files;

    /// <summary>Whether the vocabulary is there. Without it a model serves ids only.</summary>
    public bool HasTokenizer => File.Exists(System.IO.Path.Combine(Path, "tiktoken.model"));

    /// <exception cref="CheckpointException">It is not a checkpoint of a supported family, or broken.</exception>
    public static ModelDirectory Open(string path)
    {
        if (!Directory.Exists(path))
            throw new CheckpointException($"{path}: no such directory. Give the directory that holds config.json.");

        string full = System.IO.Path.GetFullPath(path);
        string generationPath = System.IO.Path.Combine(full, "generation_config.json");
        JsonSection root = JsonSection.ReadFile(System.IO.Path.Combine(full, "config.json"), ModelConfigReader.SizeLimit);
        JsonSection? generation = System.IO.Path.Exists(generationPath) ? JsonSection.ReadFile(generationPath, ModelConfigReader.SizeLimit) : null;

        ModelConfig config = ModelConfigReader.Read(root);
        return new ModelDirectory(full, config, GenerationConfigReader.Read(generation, root, config), SafetensorsSource.Open(full));
    }

    public void Dispose() => _source.Dispose();
}
