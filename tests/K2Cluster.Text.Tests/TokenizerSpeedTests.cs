using System.Text;
using K2Cluster.Tests;
using K2Cluster.Text.Tokenization;

namespace K2Cluster.Text.Tests;

/// <summary>
/// Time that grows with the square of the length is caught; how fast it is, the benchmarks say. A megabyte takes some 0.1 to
/// 0.5 s of processor time; merged in quadratic time its runs of 25,000 would take over 25 s, so a busy machine does not decide.
/// </summary>
[CollectionDefinition(nameof(TokenizerSpeedTests), DisableParallelization = true)]
[Collection(nameof(TokenizerSpeedTests))]
public class TokenizerSpeedTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    [Theory]
    [InlineData("Der schnelle braune Fuchs, the quick brown fox isn't 12345 slow;\n\tvar x = getUserName(42); 你好，世界 ")]
    [InlineData("a")]
    [InlineData(" ")]
    [InlineData("\n")]
    [InlineData("你")]
    [InlineData("!")]
    [InlineData("𠀀")]
    [InlineData("\u0301")]
    [InlineData("aB")]
    [InlineData("<|")]
    [InlineData("<|reserved_token_16358")]
    public void A_megabyte_of_anything_is_encoded_without_quadratic_time(string repeated) =>
        EncodesInTime(string.Concat(Enumerable.Repeat(repeated, 1_000_000 / Encoding.UTF8.GetByteCount(repeated))));

    [Fact]
    public void A_megabyte_of_unpaired_surrogates_is_encoded_without_quadratic_time() => EncodesInTime(new string('\uD83D', 333_333));

    [Fact]
    public void A_megabyte_in_one_piece_is_merged_without_quadratic_time()
    {
        // The cuts of long texts would hide it: 10^12 steps here if it were.
        Vocabulary vocabulary = TiktokenFile.Parse(File.ReadAllBytes(Repository.Fixture("tokenizer", "tiktoken.model")));
        byte[] piece = Encoding.ASCII.GetBytes(new string('a', 1_000_000));
        List<int> ids = [];

        TimeSpan spent = ProcessorTime(() => new BytePairMerger(vocabulary).Append(piece, ids));

        Assert.InRange(spent, TimeSpan.Zero, Limit);
        Assert.Equal(piece.Length, ids.Sum(id => vocabulary.Bytes(id).Length));
    }

    private static void EncodesInTime(string text)
    {
        Fixtures.K2.Encode("warm up", parseSpecial: true);
        List<int> ids = [];

        TimeSpan spent = ProcessorTime(() => ids = Fixtures.K2.Encode(text, parseSpecial: true));

        Assert.InRange(spent, TimeSpan.Zero, Limit);
        Assert.True(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) == Fixtures.K2.Decode(ids));
    }

    private static TimeSpan ProcessorTime(Action action)
    {
        TimeSpan start = Environment.CpuUsage.TotalTime;
        action();
        return Environment.CpuUsage.TotalTime - start;
    }
}
