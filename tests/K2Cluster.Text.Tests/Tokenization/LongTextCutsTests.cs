using K2Cluster.Text.Tokenization;

namespace K2Cluster.Text.Tests.Tokenization;

public class LongTextCutsTests
{
    public static TheoryData<string, int[]> Texts() => new()
    {
        { new string('a', 25_000), [] },
        { new string('a', 25_001), [25_000] },
        { new string('a', 75_001), [25_000, 50_000, 75_000] },
        { new string('a', 20_000) + new string(' ', 20_000), [] },
        { " " + new string('a', 25_001), [25_001] },
        { new string('a', 20_000) + " " + new string('a', 25_001), [45_001] },
        { new string('\u001C', 25_001), [25_000] },
        { string.Concat(Enumerable.Repeat("a\u001C", 20_000)), [] },
        { string.Concat(Enumerable.Repeat("\U00020000", 25_001)), [50_000] },
        { string.Concat(Enumerable.Repeat("ab ", 133_334)), [400_000] },
        { string.Concat(Enumerable.Repeat("ab ", 300_000)), [400_000, 800_000] },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Are_where_the_published_tokenizer_cuts(string text, int[] cuts) => Assert.Equal(cuts, LongTextCuts.Find(text));

    [Fact]
    public void Show_in_the_ids()
    {
        string text = new('a', 25_001);
        List<int> expected = [.. Fixtures.K2.Encode(text[..25_000], false), .. Fixtures.K2.Encode("a", false)];

        Assert.Equal(expected, Fixtures.K2.Encode(text, parseSpecial: true));
    }
}
