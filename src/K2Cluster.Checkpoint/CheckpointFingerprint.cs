using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace K2Cluster.Checkpoint;

/// <summary>
/// Tells checkpoints apart without reading them whole: by what <c>config.json</c> states of the model, and of each file of
/// weights its length, its header and samples of its data (of files up to 4 MiB all of it). For the 62 files of a Kimi K2
/// that is about 1,000 reads of 4 KiB beside the headers. Paths and times do not count, nor do files that a process lacks.
/// </summary>
public sealed class CheckpointFingerprint
{
    private const int PartDigits = 16;
    private const int FileDigits = 8;
    private const int WholeFileBytes = 4 << 20;
    private const int Samples = 16;
    private const int SampleBytes = 4096;
    private const int FilesAtOnce = 8; // a disk or a network answers several questions in the time of one

    private static readonly string Missing = new('-', FileDigits);

    private readonly string _config;
    private readonly string _names;
    private readonly ImmutableArray<string> _files;
    private readonly ImmutableArray<string> _fileNames;

    private CheckpointFingerprint(string config, string names, ImmutableArray<string> files, ImmutableArray<string> fileNames) =>
        (_config, _names, _files, _fileNames) = (config, names, files, fileNames);

    /// <summary>Where the checkpoint lies, for messages; empty for that of another process.</summary>
    public string Directory { get; private init; } = "";

    /// <exception cref="CheckpointException">A file cannot be read.</exception>
    public static CheckpointFingerprint Of(ModelDirectory model)
    {
        string[] paths = [.. model.WeightFiles.OrderBy(Path.GetFileName, StringComparer.Ordinal)];
        ImmutableArray<string> fileNames = [.. paths.Select(path => Path.GetFileName(path))];
        ImmutableArray<string> files = [.. paths.AsParallel().AsOrdered().WithDegreeOfParallelism(FilesAtOnce).Select(OfFile)];
        return new CheckpointFingerprint(OfConfig(model.Config), Digest(Encoding.UTF8.GetBytes(string.Join('/', fileNames)), PartDigits), files, fileNames) { Directory = model.Path };
    }

    /// <summary>Reads what <see cref="ToString"/> gave, of another process; null when it is none.</summary>
    public static CheckpointFingerprint? TryParse(string text)
    {
        int files = (text.Length - 2 * PartDigits) / FileDigits;
        if (files < 1 || text.Length != 2 * PartDigits + files * FileDigits || !text.All(digit => char.IsAsciiHexDigitLower(digit) || digit == '-'))
            return null;
        return new CheckpointFingerprint(
            text[..PartDigits],
            text[PartDigits..(2 * PartDigits)],
            [.. Enumerable.Range(0, files).Select(file => text.Substring(2 * PartDigits + file * FileDigits, FileDigits))],
            []);
    }

    /// <summary>In what another process's checkpoint is not this one, in words; null when nothing differs that both have.</summary>
    public string? DifferenceFrom(CheckpointFingerprint other)
    {
        if (_config != other._config)
            return "config.json states other values of the model";
        if (_names != other._names || _files.Length != other._files.Length)
            return "its weights lie in other files";
        int[] differing = [.. Enumerable.Range(0, _files.Length).Where(file => _files[file] != Missing && other._files[file] != Missing && _files[file] != other._files[file])];
        return differing.Length switch
        {
            0 => null,
            1 => $"{Printable.Of(_fileNames[differing[0]])} has other content",
            _ => $"{Printable.Of(_fileNames[differing[0]])} and {differing.Length - 1} more of {_files.Length} files have other content",
        };
    }

    /// <inheritdoc/>
    public override string ToString() => $"{_config}{_names}{string.Concat(_files)}";

    private static string OfConfig(ModelConfig config)
    {
        string ignored = config.Quantization is { } quantization ? string.Join('\n', quantization.Ignored.Order(StringComparer.Ordinal)) : "none";
        string stated = JsonSerializer.Serialize(config with { Quantization = null }, FingerprintJson.Default.ModelConfig);
        return Digest(Encoding.UTF8.GetBytes($"{stated}\n{ignored}"), PartDigits);
    }

    private static string OfFile(string path)
    {
        if (!File.Exists(path))
            return Missing; // its role may not need it; whoever does says so
        using CheckpointFile file = CheckpointFile.Open(path);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> number = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(number, file.Length);
        hash.AppendData(number);
        if (file.Length <= WholeFileBytes)
        {
            Append(hash, file, 0, file.Length);
        }
        else
        {
            long data = SafetensorsHeader.DataStart(file);
            Append(hash, file, 0, data);
            for (int sample = 0; sample < Samples; sample++)
                Append(hash, file, data + Math.Max(0, file.Length - data - SampleBytes) * sample / (Samples - 1), SampleBytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..FileDigits];
    }

    private static void Append(IncrementalHash hash, CheckpointFile file, long position, long length)
    {
        byte[] buffer = new byte[Math.Min(length, 64 << 10)];
        for (long done = 0; done < length; done += buffer.Length)
            hash.AppendData(buffer, 0, file.Read(position + done, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - done))));
    }

    private static string Digest(byte[] content, int digits) => Convert.ToHexStringLower(SHA256.HashData(content))[..digits];
}
