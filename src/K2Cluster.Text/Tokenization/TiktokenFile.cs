using System.Buffers;
using System.Buffers.Text;

namespace K2Cluster.Text.Tokenization;

/// <summary>Reads a tiktoken vocabulary: a line a token, its bytes in base64, a space, its rank.</summary>
internal static class TiktokenFile
{
    public const string Name = "tiktoken.model";

    /// <exception cref="TokenizerException">Anything but every rank of 0 to n-1 once, each with bytes of its own, all 256 single bytes among them.</exception>
    public static Vocabulary Parse(ReadOnlySpan<byte> file)
    {
        int most = file.Count((byte)'\n') + 1;
        var pool = new byte[Base64.GetMaxDecodedFromUtf8Length(file.Length)];
        var starts = new int[most];
        var lengths = new int[most];
        var lineOfRank = new int[most];
        int used = 0;
        int count = 0;
        for (int lineNumber = 1; !file.IsEmpty; lineNumber++)
        {
            ReadOnlySpan<byte> line = NextLine(ref file);
            if (line.IsEmpty)
                continue;

            (int rank, int length) = ParseLine(line, lineNumber, most, pool.AsSpan(used));
            if (lengths[rank] != 0)
                throw Malformed(lineNumber, $"rank {rank} was given on line {lineOfRank[rank]} already");

            starts[rank] = used;
            lengths[rank] = length;
            lineOfRank[rank] = lineNumber;
            used += length;
            count++;
        }

        int missing = lengths.AsSpan(0, count).IndexOf(0);
        if (missing >= 0)
            throw new TokenizerException($"{Name} gives rank {missing} to no token, though it has {count}: ranks must be 0 to {count - 1}, each once.");

        Array.Resize(ref pool, used);
        Array.Resize(ref starts, count);
        Array.Resize(ref lengths, count);
        Vocabulary vocabulary = new(pool, starts, lengths, out int duplicate);
        if (duplicate >= 0)
        {
            int first = vocabulary.Find(vocabulary.Bytes(duplicate));
            throw Malformed(lineOfRank[duplicate], $"the same bytes have rank {first} on line {lineOfRank[first]} already");
        }

        for (int value = 0; value < 256; value++)
        {
            if (vocabulary.Find([(byte)value]) < 0)
                throw new TokenizerException($"{Name} has no token for the single byte 0x{value:X2}: some text could not be encoded. The file is incomplete.");
        }

        return vocabulary;
    }

    private static (int Rank, int Length) ParseLine(ReadOnlySpan<byte> line, int lineNumber, int most, Span<byte> destination)
    {
        int space = line.IndexOf((byte)' ');
        if (space <= 0)
            throw Malformed(lineNumber, "expected base64 bytes, a space and a rank");
        if (Base64.DecodeFromUtf8(line[..space], destination, out _, out int length) != OperationStatus.Done || length == 0)
            throw Malformed(lineNumber, "the bytes before the space are not base64");

        ReadOnlySpan<byte> number = line[(space + 1)..];
        if (!Utf8Parser.TryParse(number, out int rank, out int digits) || digits != number.Length || rank < 0)
            throw Malformed(lineNumber, "the rank after the space is not a whole number");
        if (rank >= most)
            throw Malformed(lineNumber, $"rank {rank}, but the file has {most} lines: ranks must be 0 and up without a gap");

        return (rank, length);
    }

    private static ReadOnlySpan<byte> NextLine(ref ReadOnlySpan<byte> file)
    {
        int end = file.IndexOf((byte)'\n');
        ReadOnlySpan<byte> line = end < 0 ? file : file[..end];
        file = end < 0 ? [] : file[(end + 1)..];
        return line.EndsWith("\r"u8) ? line[..^1] : line;
    }

    private static TokenizerException Malformed(int line, string problem) => new($"{Name}, line {line}: {problem}.");
}
