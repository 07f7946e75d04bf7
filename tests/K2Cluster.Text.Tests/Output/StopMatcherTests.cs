using K2Cluster.Text.Output;

namespace K2Cluster.Text.Tests.Output;

public class StopMatcherTests
{
    [Theory]
    [InlineData("one two three", "two", "one ", "two")]
    [InlineData("one two three", "four", "one two three", null)]
    [InlineData("one tw", "two", "one tw", null)]
    [InlineData("two", "two", "", "two")]
    [InlineData("abcd", "bc|abcd", "a", "bc")]
    [InlineData("xabc", "bc|abc|c", "x", "abc")]
    [InlineData("aaab", "aab", "a", "aab")]
    [InlineData("abababc", "ababc", "ab", "ababc")]
    [InlineData("ab", "|", "ab", null)]
    [InlineData("ab", "", "ab", null)]
    [InlineData("a🙂b", "🙂", "a", "🙂")]
    [InlineData("a🙁b", "🙂", "a🙁b", null)]
    public void Gives_what_stands_before_the_first_stop(string text, string stops, string expected, string? matched)
    {
        StopMatcher matcher = new(stops.Split('|'));

        Assert.Equal(expected, matcher.Append(text) + matcher.Flush());
        Assert.Equal(matched, matcher.Matched);
        Assert.Equal("", matcher.Append(matched is null ? "" : "more"));
    }

    [Fact]
    public void Holds_back_only_what_may_begin_a_stop()
    {
        StopMatcher matcher = new(["\n\nUser:", "END"]);

        Assert.Equal("Hello", matcher.Append("Hello\n"));
        Assert.Equal("\n you", matcher.Append(" you"));
        Assert.Equal("", matcher.Append("E"));
        Assert.Equal("", matcher.Append("N"));
        Assert.Equal("EN", matcher.Append("E"));
        Assert.Equal("E", matcher.Flush());
    }

    [Fact]
    public void Equals_a_search_of_the_whole_for_any_text_stops_and_cuts()
    {
        Random random = new(5);
        string Text(int longest) => new([.. Enumerable.Range(0, random.Next(longest)).Select(_ => "ab"[random.Next(2)])]);
        for (int round = 0; round < 20_000; round++)
        {
            string[] stops = [.. Enumerable.Range(0, random.Next(4)).Select(_ => Text(6))];
            string text = Text(24);
            (string expected, string? found) = Search(text, stops);

            StopMatcher matcher = new(stops);
            string released = "";
            for (int start = 0; start < text.Length;)
            {
                int length = Math.Min(random.Next(4), text.Length - start);
                released += matcher.Append(text.Substring(start, length));
                Assert.StartsWith(released, expected);
                start += length;
            }

            Assert.Equal((expected, found), (released + matcher.Flush(), matcher.Matched));
        }
    }

    [Fact]
    public void A_stop_counts_where_it_ends()
    {
        Random random = new(6);
        string Text(int longest) => new([.. Enumerable.Range(0, random.Next(longest)).Select(_ => "ab"[random.Next(2)])]);
        for (int round = 0; round < 5_000; round++)
        {
            string[] stops = [.. Enumerable.Range(0, random.Next(4)).Select(_ => Text(6))];
            string text = Text(24);
            int least = random.Next(text.Length + 1);
            (string expected, string? found) = Search(text, stops, least + 1);

            StopMatcher matcher = new(stops);
            string released = "";
            for (int start = 0; start < text.Length; start++)
            {
                released += matcher.Append(text.Substring(start, 1), mayMatch: start >= least);
                Assert.StartsWith(released, expected);
            }

            Assert.Equal((expected, found), (released + matcher.Flush(), matcher.Matched));
        }
    }

    private static (string Before, string? Stop) Search(string text, string[] stops, int first = 1)
    {
        for (int end = first; end <= text.Length; end++)
        {
            string? stop = stops.Where(stop => stop.Length > 0 && text[..end].EndsWith(stop, StringComparison.Ordinal)).MaxBy(stop => stop.Length);
            if (stop is not null)
                return (text[..(end - stop.Length)], stop);
        }

        return (text, null);
    }
}
