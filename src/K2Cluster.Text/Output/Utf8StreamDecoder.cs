using System.Text;

namespace K2Cluster.Text.Output;

/// <summary>Decodes UTF-8 that comes in pieces; never gives half a character.</summary>
public sealed class Utf8StreamDecoder
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();

    /// <summary>Adds bytes and returns the characters that are complete; malformed bytes become U+FFFD as in <see cref="Encoding.UTF8"/>.</summary>
    public string Append(ReadOnlySpan<byte> bytes) => Decode(bytes, flush: false);

    /// <summary>Ends the text: an incomplete tail becomes U+FFFD. The decoder can then take another text.</summary>
    public string Flush() => Decode([], flush: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        int count = _decoder.GetCharCount(bytes, flush);
        if (count == 0)
        {
            // Still to be called: it keeps the bytes of a character that has only begun.
            _decoder.GetChars(bytes, [], flush);
            return "";
        }

        return string.Create(count, new Piece(_decoder, bytes, flush), static (text, piece) => piece.Decoder.GetChars(piece.Bytes, text, piece.Flush));
    }

    private readonly ref struct Piece(Decoder decoder, ReadOnlySpan<byte> bytes, bool flush)
    {
        public Decoder Decoder { get; } = decoder;

        public ReadOnlySpan<byte> Bytes { get; } = bytes;

        public bool Flush { get; } = flush;
    }
}
