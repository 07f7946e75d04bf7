using System.Diagnostics.CodeAnalysis;

namespace K2Cluster.Checkpoint;

/// <summary>
/// The tensors of a directory of safetensors files. A file is opened, and its header read and checked, when the first
/// of its tensors is asked for: a process touches only the files that its role needs.
/// </summary>
internal sealed class SafetensorsSource : ITensorSource
{
    private const string IndexName = "model.safetensors.index.json";
    private const string SingleName = "model.safetensors";

    private readonly string _listing;
    private readonly IReadOnlyDictionary<string, int>? _fileOf;
    private readonly Lock _opening = new();
    private readonly Shard?[] _shards;
    private bool _disposed;

    private SafetensorsSource(string directory, string listing, IReadOnlyList<string> files, IReadOnlyDictionary<string, int>? fileOf)
    {
        _listing = System.IO.Path.Combine(directory, listing);
        _fileOf = fileOf;
        _shards = new Shard?[files.Count];
        Files = [.. files.Select(file => System.IO.Path.Combine(directory, file))];
    }

    /// <summary>Paths of the shard files, in the order of <see cref="TensorInfo.File"/>.</summary>
    public IReadOnlyList<string> Files { get; }

    /// <summary>Without an index only the one file's tensors exist; with one, only those that it lists.</summary>
    public IEnumerable<TensorInfo> Tensors
    {
        get
        {
            if (_fileOf is null)
                return ShardOf(0).Tensors.Values;
            return _fileOf.Keys.Select(name => TryGet(name, out TensorInfo? tensor) ? tensor : throw new InvalidOperationException(name));
        }
    }

    /// <exception cref="CheckpointException">There are no weights, or their index is broken.</exception>
    public static SafetensorsSource Open(string directory)
    {
        string index = System.IO.Path.Combine(directory, IndexName);
        if (System.IO.Path.Exists(index) || !System.IO.Path.Exists(System.IO.Path.Combine(directory, SingleName)))
        {
            SafetensorsIndex read = SafetensorsIndex.Read(index);
            return new SafetensorsSource(directory, IndexName, read.Files, read.FileOf);
        }

        return new SafetensorsSource(directory, SingleName, [SingleName], fileOf: null);
    }

    public bool TryGet(string name, [NotNullWhen(true)] out TensorInfo? tensor)
    {
        if (_fileOf is null)
            return ShardOf(0).Tensors.TryGetValue(name, out tensor);

        tensor = null;
        if (!_fileOf.TryGetValue(name, out int file))
            return false;
        if (!ShardOf(file).Tensors.TryGetValue(name, out tensor))
            throw new CheckpointException($"{Files[file]}: tensor {Printable.Of(name)} is not in this file, where {_listing} puts it.");
        return true;
    }

    public string Locate(string name) => _fileOf is not null && _fileOf.TryGetValue(name, out int file) ? Files[file] : _listing;

    public void Read(TensorInfo tensor, long offset, Span<byte> destination)
    {
        Shard shard = ShardOf(tensor.File);
        if (offset < 0 || offset > tensor.ByteLength - destination.Length)
            throw new CheckpointException($"{Files[tensor.File]}: tensor {Printable.Of(tensor.Name)} has {tensor.ByteLength:N0} bytes; {destination.Length:N0} from {offset:N0} on leave it.");
        int read = shard.File.Read(tensor.Offset + offset, destination);
        if (read < destination.Length)
            throw new CheckpointException($"{Files[tensor.File]}: tensor {Printable.Of(tensor.Name)} ends {destination.Length - read:N0} bytes early: the file was truncated after it was opened.");
    }

    public void Dispose()
    {
        lock (_opening)
        {
            _disposed = true;
            foreach (Shard? shard in _shards)
                shard?.File.Dispose();
        }
    }

    // A failure is not kept: storage that was away for a moment may be asked again.
    private Shard ShardOf(int file)
    {
        if (Volatile.Read(ref _shards[file]) is { } opened)
            return opened;
        lock (_opening)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _shards[file] ??= Shard.Open(Files[file], file);
        }
    }

    private sealed record Shard(CheckpointFile File, Dictionary<string, TensorInfo> Tensors)
    {
        public static Shard Open(string path, int index)
        {
            CheckpointFile file = CheckpointFile.Open(path);
            try
            {
                return new Shard(file, SafetensorsHeader.Read(file, index));
            }
            catch
            {
                file.Dispose();
                throw;
            }
        }
    }
}
