using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>One safetensors file of a made-up checkpoint: its header is laid out first, its pieces are written in parallel.</summary>
internal sealed class SyntheticFile
{
    private const int PieceBytes = 1 << 20;

    private readonly byte[] _header;
    private readonly long[] _starts;

    public SyntheticFile(string name, IReadOnlyList<SyntheticTensor> tensors)
    {
        Name = name;
        Tensors = tensors;
        _starts = new long[tensors.Count];
        long end = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            _starts[i] = end;
            end += tensors[i].ByteLength;
        }

        _header = Header(tensors, _starts);
        Length = _header.Length + end;
    }

    public string Name { get; }

    public IReadOnlyList<SyntheticTensor> Tensors { get; }

    public long Length { get; }

    /// <param name="directory">Where the file goes.</param>
    /// <param name="seed">Of the weights.</param>
    /// <param name="progress">Told of bytes written, by several threads.</param>
    /// <param name="cancellation">Ends the work; the file is then incomplete.</param>
    public void Write(string directory, long seed, Action<long> progress, CancellationToken cancellation)
    {
        using SafeFileHandle handle = File.OpenHandle(Path.Combine(directory, Name), FileMode.CreateNew, FileAccess.Write, FileShare.None, preallocationSize: Length);
        RandomAccess.Write(handle, _header, 0);
        ParallelOptions options = new() { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = cancellation };
        Parallel.ForEach(
            Pieces(seed),
            options,
            () => new byte[PieceBytes],
            (piece, _, buffer) =>
            {
                Span<byte> bytes = buffer.AsSpan(0, piece.Length);
                piece.Fill.Fill(piece.Key, piece.Offset, bytes);
                RandomAccess.Write(handle, bytes, piece.Position);
                progress(bytes.Length);
                return buffer;
            },
            _ => { });
    }

    private IEnumerable<Piece> Pieces(long seed)
    {
        for (int i = 0; i < Tensors.Count; i++)
        {
            SyntheticTensor tensor = Tensors[i];
            ulong key = RandomFill.KeyOf(seed, tensor.Name);
            for (long offset = 0; offset < tensor.ByteLength; offset += PieceBytes)
                yield return new Piece(tensor.Fill, key, offset, _header.Length + _starts[i] + offset, (int)Math.Min(PieceBytes, tensor.ByteLength - offset));
        }
    }

    private static byte[] Header(IReadOnlyList<SyntheticTensor> tensors, long[] starts)
    {
        using MemoryStream stream = new();
        stream.Write(stackalloc byte[sizeof(ulong)]);
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("__metadata__");
            writer.WriteString("format", "pt");
            writer.WriteEndObject();
            for (int i = 0; i < tensors.Count; i++)
            {
                writer.WriteStartObject(tensors[i].Name);
                writer.WriteString("dtype", tensors[i].Type.ToString());
                writer.WriteStartArray("shape");
                foreach (int size in tensors[i].Shape)
                    writer.WriteNumberValue(size);
                writer.WriteEndArray();
                writer.WriteStartArray("data_offsets");
                writer.WriteNumberValue(starts[i]);
                writer.WriteNumberValue(starts[i] + tensors[i].ByteLength);
                writer.WriteEndArray();
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        // As the reference implementation pads it, so that the data begins at a multiple of eight.
        while (stream.Length % sizeof(ulong) != 0)
            stream.WriteByte((byte)' ');
        byte[] header = stream.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(header, header.Length - sizeof(ulong));
        return header;
    }

    private readonly record struct Piece(RandomFill Fill, ulong Key, long Offset, long Position, int Length);
}
