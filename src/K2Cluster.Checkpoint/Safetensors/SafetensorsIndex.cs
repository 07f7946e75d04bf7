using System.Text.Json;

namespace K2Cluster.Checkpoint;

/// <summary><c>model.safetensors.index.json</c>: which file holds which tensor.</summary>
/// <param name="Files">Names of files in the checkpoint's directory.</param>
/// <param name="FileOf">Tensor name to index in <paramref name="Files"/>.</param>
internal sealed record SafetensorsIndex(IReadOnlyList<string> Files, IReadOnlyDictionary<string, int> FileOf)
{
    public const int MaxTensors = 2_000_000;

    // K2 lists 208,000 tensors in 25 MB.
    private const int SizeLimit = 128 << 20;
    private const int MaxFiles = 4096;

    /// <exception cref="CheckpointException">The file is not an index, or names a file outside its directory.</exception>
    public static SafetensorsIndex Read(string path)
    {
        byte[] json = CheckpointFile.ReadAll(path, SizeLimit);
        try
        {
            Utf8JsonReader reader = new(json, new JsonReaderOptions { MaxDepth = 16 });
            if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
                throw new CheckpointException($"{path}: is not a JSON object.");

            SafetensorsIndex? index = null;
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                if (!reader.ValueTextEquals("weight_map"u8))
                    reader.Skip();
                else if (index is null)
                    index = ReadWeightMap(path, ref reader);
                else
                    throw new CheckpointException($"{path}: weight_map is there twice.");
            }

            reader.Read();
            return index ?? throw new CheckpointException($"{path}: weight_map is missing.");
        }
        catch (JsonException failure)
        {
            throw new CheckpointException($"{path}: not valid JSON: {Printable.Of(failure.Message)}", failure);
        }
        catch (InvalidOperationException failure)
        {
            throw new CheckpointException($"{path}: holds invalid text: {Printable.Of(failure.Message)}", failure);
        }
    }

    private static SafetensorsIndex ReadWeightMap(string path, ref Utf8JsonReader reader)
    {
        List<string> files = [];
        Dictionary<string, int> numbers = [];
        Dictionary<string, int> fileOf = [];
        if (!reader.Read() || reader.TokenType != JsonTokenType.StartObject)
            throw new CheckpointException($"{path}: weight_map is not an object.");
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = reader.GetString()!;
            if (!reader.Read() || reader.TokenType != JsonTokenType.String)
                throw new CheckpointException($"{path}: weight_map gives tensor {Printable.Of(tensor)} no file name.");
            string file = reader.GetString()!;
            if (!numbers.TryGetValue(file, out int number))
            {
                if (!IsPlainName(file))
                    throw new CheckpointException($"{path}: weight_map puts tensor {Printable.Of(tensor)} into {Printable.Of(file)}, which is not a file name in this directory.");
                if (files.Count == MaxFiles)
                    throw new CheckpointException($"{path}: weight_map names more than {MaxFiles} files.");
                number = files.Count;
                files.Add(file);
                numbers.Add(file, number);
            }

            if (!fileOf.TryAdd(tensor, number))
                throw new CheckpointException($"{path}: weight_map lists tensor {Printable.Of(tensor)} twice.");
            if (fileOf.Count > MaxTensors)
                throw new CheckpointException($"{path}: weight_map lists more than {MaxTensors:N0} tensors.");
        }

        return new SafetensorsIndex(files, fileOf);
    }

    /// <summary>A name that stays in its directory on every system: no separator, drive or parent.</summary>
    private static bool IsPlainName(string name) =>
        name.Length is > 0 and <= 255 && name is not ("." or "..") && name.AsSpan().IndexOfAny("/\\:\0") < 0;
}
