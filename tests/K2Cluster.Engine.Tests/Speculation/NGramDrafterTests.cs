using K2Cluster.Engine.Speculation;

namespace K2Cluster.Engine.Tests.Speculation;

public sealed class NGramDrafterTests
{
    [Theory]
    [InlineData("1 2 3 4 5 1 2", "3 4 5 1")]
    [InlineData("1 2 3 9 1 2 4 9 1 2", "4 9 1 2")]
    [InlineData("7 1 2 3 9 9 1 2 4 9 7 1 2", "3 9 9 1")]
    [InlineData("5 6 5 6 5 6", "5 6 5 6")]
    [InlineData("8 8 8", "8 8 8 8")]
    [InlineData("1 2 3 4 5 6", "")]
    [InlineData("1 2 3 4 9 2", "")]
    [InlineData("1 2", "")]
    [InlineData("", "")]
    public void What_followed_the_longest_and_latest_match_is_drafted(string tokens, string expected)
    {
        int[] draft = new int[4];
        int length = NGramDrafter.Draft(Parse(tokens), draft);
        Assert.Equal(Parse(expected), draft[..length]);
    }

    [Fact]
    public void Only_the_last_tokens_of_a_long_text_are_searched()
    {
        int[] tokens = [.. Enumerable.Range(0, 100_000), 10, 11];
        Assert.Equal(0, NGramDrafter.Draft(tokens, new int[4]));
        tokens[^2] = 99_000;
        tokens[^1] = 99_001;
        int[] draft = new int[2];
        Assert.Equal(2, NGramDrafter.Draft(tokens, draft));
        Assert.Equal([99_002, 99_003], draft);
    }

    [Fact]
    public void A_text_that_does_not_repeat_itself_pays_few_rows_and_one_that_does_gets_long_drafts()
    {
        DraftPace pace = new();
        int rows = 0;
        for (int step = 0; step < 1000; step++)
        {
            int length = pace.Next(16);
            rows += length;
            if (length > 0)
                pace.Learn(length, 0);
        }

        Assert.InRange(rows, 10, 30);

        for (int step = 0; step < 200; step++)
        {
            int length = pace.Next(16);
            if (length > 0)
                pace.Learn(length, length);
        }

        Assert.Equal(16, pace.Next(16));
        pace.Learn(16, 2);
        Assert.Equal(3, pace.Next(16));
    }

    private static int[] Parse(string text) => [.. text.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse)];
}
