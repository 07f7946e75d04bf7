using System.Text;

namespace K2Cluster.Text.Tokenization;

/// <summary>Cuts plain text into pieces and merges the bytes of each. Holds scratch memory, so one user at a time.</summary>
internal sealed class PieceEncoder(Vocabulary vocabulary)
{
    private readonly BytePairMerger _merger = new(vocabulary);
    private byte[] _bytes = new byte[1024];

    public void Append(ReadOnlySpan<char> text, List<int> ids)
    {
        while (!text.IsEmpty)
        {
            int length = PieceScanner.FirstPiece(text);
            if (Encoding.UTF8.GetMaxByteCount(length) > _bytes.Length)
                _bytes = new byte[Encoding.UTF8.GetMaxByteCount(length)];

            int count = Encoding.UTF8.GetBytes(text[..length], _bytes);
            _merger.Append(_bytes.AsSpan(0, count), ids);
            text = text[length..];
        }
    }
}
