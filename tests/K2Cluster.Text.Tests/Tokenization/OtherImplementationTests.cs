using K2Cluster.Tests;
using K2Cluster.Text.Tokenization;
using Microsoft.ML.Tokenizers;

namespace K2Cluster.Text.Tests.Tokenization;

/// <summary>Microsoft.ML.Tokenizers' merging, cut by our scanner, as a second opinion (docs/adr/0002-tokenizer.md).</summary>
public class OtherImplementationTests
{
    [Fact]
    public void Merges_as_microsofts_tokenizer_does()
    {
        using FileStream ranks = File.OpenRead(Repository.Fixture("tokenizer", "tiktoken.model"));
        TiktokenTokenizer other = TiktokenTokenizer.Create(ranks, new ScannedPieces(), normalizer: null);
        const string Letters = "eeetaoinsrhl  ABé\u0301你世界🙂\uDB40'-_.,\n\r\t0123";
        Random random = new(17);
        for (int round = 0; round < 5_000; round++)
        {
            char[] units = [.. Enumerable.Range(0, random.Next(60)).Select(_ => random.Next(20) == 0 ? (char)random.Next(0x20, 0xD800) : Letters[random.Next(Letters.Length)])];
            string text = System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(units));

            Assert.Equal(other.EncodeToIds(text), Fixtures.K2.Encode(text, parseSpecial: false));
        }
    }

    private sealed class ScannedPieces : PreTokenizer
    {
        public override IEnumerable<(int Offset, int Length)> PreTokenize(string text) => Cut(text);

        public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text) => Cut(text);

        private static List<(int Offset, int Length)> Cut(ReadOnlySpan<char> text)
        {
            List<(int, int)> pieces = [];
            for (int start = 0, length; start < text.Length; start += length)
            {
                length = PieceScanner.FirstPiece(text[start..]);
                pieces.Add((start, length));
            }

            return pieces;
        }
    }
}
