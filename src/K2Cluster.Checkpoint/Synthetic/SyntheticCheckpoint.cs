using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>
/// A made-up checkpoint in the published layout: random weights of any shape of the family, for benchmarks and tests. The same
/// shape and seed give the same bytes on every machine.
/// </summary>
public sealed class SyntheticCheckpoint
{
    private const string PartialName = ".synth-partial";
    private const string ConfigName = "config.json";
    private const string GenerationName = "generation_config.json";
    private const string IndexName = "model.safetensors.index.json";

    /// <summary>What is not the weights': index, configuration, the file system's own.</summary>
    private const long SpareBytes = 16 << 20;

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, NewLine = "\n" };

    private readonly SyntheticShape _shape;
    private readonly long _seed;
    private readonly List<SyntheticFile> _files = [];

    /// <summary>Lays the checkpoint out; nothing is written yet.</summary>
    /// <exception cref="CheckpointException">No model of the family has this shape; the message names the key of <c>config.json</c>.</exception>
    public SyntheticCheckpoint(SyntheticShape shape, long seed)
    {
        _shape = shape;
        _seed = seed;
        JsonSection root = JsonSection.Parse(ConfigName, Encoding.UTF8.GetBytes(shape.ToConfig().ToJsonString()));
        Config = ModelConfigReader.Read(root);
        GenerationConfigReader.Read(null, root, Config);
        if (SyntheticWeights.Count(Config) is var tensors && tensors > SafetensorsIndex.MaxTensors)
            throw new CheckpointException($"{ConfigName}: num_hidden_layers of {Config.LayerCount} with n_routed_experts of {Config.RoutedExperts} makes {tensors:N0} tensors; a checkpoint has at most {SafetensorsIndex.MaxTensors:N0}.");
        int count = Config.LayerCount + 1;
        foreach (IReadOnlyList<SyntheticTensor> part in SyntheticWeights.ByFile(Config))
            _files.Add(new SyntheticFile($"model-{_files.Count + 1:D5}-of-{count:D6}.safetensors", part));
    }

    public ModelConfig Config { get; }

    /// <summary>Bytes of all weight files.</summary>
    public long TotalBytes => _files.Sum(file => file.Length);

    /// <summary>Files that hold weights.</summary>
    public int FileCount => _files.Count;

    /// <summary>The weights without files.</summary>
    public ITensorSource CreateSource() => new SyntheticSource(_files.SelectMany(file => file.Tensors), _seed);

    /// <summary>
    /// Writes everything under a temporary name inside the directory and renames it at the end, <c>config.json</c> last: until
    /// then there is nothing there that opens.
    /// </summary>
    /// <param name="directory">Where it goes; made if it is not there.</param>
    /// <param name="replace">Take the place of a checkpoint that is there; other files stay. Without it the directory must be empty.</param>
    /// <param name="tokenizerFiles">Files to be copied beside the weights.</param>
    /// <param name="progress">Told of bytes written, by several threads.</param>
    /// <param name="cancellation">Ends the work and removes what was written.</param>
    /// <exception cref="CheckpointException">The directory is not empty, the disk has no room, or writing failed.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public void Write(string directory, bool replace, IReadOnlyList<string> tokenizerFiles, Action<long> progress, CancellationToken cancellation)
    {
        try
        {
            directory = Path.GetFullPath(directory);
            bool existed = Directory.Exists(directory);
            Directory.CreateDirectory(directory);
            if (!replace && Directory.EnumerateFileSystemEntries(directory).Any(entry => Path.GetFileName(entry) != PartialName))
                throw new CheckpointException($"{directory}: is not empty. Give another directory, or --force to replace the checkpoint in it.");

            string partial = Path.Combine(directory, PartialName);
            Directory.CreateDirectory(partial);
            // One writer a directory: the lock goes with the process, the files of one that died are cleared.
            using (FileStream _ = new(Path.Combine(partial, "lock"), FileMode.OpenOrCreate, FileAccess.Write, FileShare.None))
            {
                try
                {
                    WriteInto(directory, partial, replace, tokenizerFiles, progress, cancellation);
                }
                finally
                {
                    Directory.Delete(partial, recursive: true);
                    if (!existed && !Directory.EnumerateFileSystemEntries(directory).Any())
                        Directory.Delete(directory);
                }
            }
        }
        catch (AggregateException failures) when (failures.InnerExceptions.FirstOrDefault(IsFileFailure) is { } failure)
        {
            throw new CheckpointException($"{directory}: writing failed: {failure.Message}", failure);
        }
        catch (Exception failure) when (IsFileFailure(failure))
        {
            throw new CheckpointException($"{directory}: cannot be written: {failure.Message}", failure);
        }
    }

    private void WriteInto(string directory, string partial, bool replace, IReadOnlyList<string> tokenizerFiles, Action<long> progress, CancellationToken cancellation)
    {
        foreach (string left in Directory.EnumerateFiles(partial).Where(file => Path.GetFileName(file) != "lock"))
            File.Delete(left);
        // Before anything goes: they may be those of the checkpoint that is replaced.
        foreach (string file in tokenizerFiles)
            File.Copy(file, Path.Combine(partial, Path.GetFileName(file)));
        string[] replaced = replace ? [.. Directory.EnumerateFiles(directory).Where(IsOfCheckpoint)] : [];
        CheckRoom(directory, replaced.Sum(file => new FileInfo(file).Length));
        // First the file without which nothing opens.
        foreach (string file in replaced.OrderByDescending(file => Path.GetFileName(file) == ConfigName))
            File.Delete(file);
        foreach (SyntheticFile file in _files)
            file.Write(partial, _seed, progress, cancellation);
        WriteIndex(Path.Combine(partial, IndexName));
        WriteJson(Path.Combine(partial, GenerationName), _shape.ToGenerationConfig());
        foreach (string file in Directory.EnumerateFiles(partial).Where(file => Path.GetFileName(file) != "lock"))
            File.Move(file, Path.Combine(directory, Path.GetFileName(file)), overwrite: replace);

        string config = Path.Combine(partial, ConfigName);
        WriteJson(config, _shape.ToConfig());
        File.Move(config, Path.Combine(directory, ConfigName), overwrite: replace);
    }

    private void CheckRoom(string directory, long given)
    {
        long free = new DriveInfo(directory).AvailableFreeSpace + given;
        if (free < TotalBytes + SpareBytes)
            throw new CheckpointException($"{directory}: the checkpoint takes {TotalBytes:N0} bytes and the disk has {free:N0} free. Make room, or give a smaller shape.");
    }

    private void WriteIndex(string path)
    {
        using FileStream file = File.Create(path);
        using Utf8JsonWriter writer = new(file, new JsonWriterOptions { Indented = true, NewLine = "\n" });
        writer.WriteStartObject();
        writer.WriteStartObject("metadata");
        writer.WriteNumber("total_size", _files.Sum(shard => shard.Tensors.Sum(tensor => tensor.ByteLength)));
        writer.WriteEndObject();
        writer.WriteStartObject("weight_map");
        foreach (SyntheticFile shard in _files)
        {
            foreach (SyntheticTensor tensor in shard.Tensors)
                writer.WriteString(tensor.Name, shard.Name);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteJson(string path, JsonObject content) => File.WriteAllText(path, content.ToJsonString(Indented) + "\n");

    /// <summary>Files that a checkpoint is made of: those of the one that is replaced must not be taken for the new one's.</summary>
    private static bool IsOfCheckpoint(string path)
    {
        string name = Path.GetFileName(path);
        return name is ConfigName or GenerationName or IndexName or "tiktoken.model" or "tokenizer_config.json" || name.EndsWith(".safetensors", StringComparison.Ordinal);
    }

    private static bool IsFileFailure(Exception failure) =>
        failure is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException;
}
