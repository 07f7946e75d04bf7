using System.Text;
using K2Cluster.Tests;

namespace K2Cluster.Text.Tests.Tokenization;

public class LoadingTests
{
    private static readonly string[] Bytes = [.. Enumerable.Range(0, 256).Select(value => $"{Convert.ToBase64String([(byte)value])} {value}")];

    [Fact]
    public void A_directory_without_a_vocabulary_has_no_tokenizer()
    {
        Assert.Null(K2Tokenizer.TryLoad(Repository.Fixture("template")));
        Assert.Null(K2Tokenizer.TryLoad(Repository.Fixture("no-such-directory")));
    }

    public static TheoryData<string, string> MalformedRanks() => new()
    {
        { "", "single byte 0x00" },
        { Lines([.. Bytes[..255]]), "single byte 0xFF" },
        { Lines([.. Bytes, "aGVsbG8="]), "line 257: expected" },
        { Lines([.. Bytes, " 256"]), "line 257: expected" },
        { Lines([.. Bytes, "a*== 256"]), "line 257: the bytes" },
        { Lines([.. Bytes, "aGVsbG8= x"]), "line 257: the rank" },
        { Lines([.. Bytes, "aGVsbG8= 256 7"]), "line 257: the rank" },
        { Lines([.. Bytes, "aGVsbG8= -1"]), "line 257: the rank" },
        { Lines([.. Bytes, "aGVsbG8= 99999999999"]), "line 257: the rank" },
        { Lines([.. Bytes, "aGVsbG8= 257"]), "line 257: rank 257, but the file has 257 lines" },
        { Lines([.. Bytes, "aGVsbG8= 257", ""]), "rank 256 to no token, though it has 257" },
        { Lines([.. Bytes, "aGVsbG8= 7"]), "line 257: rank 7 was given on line 8" },
        { Lines([.. Bytes, "AA== 256"]), "line 257: the same bytes have rank 0 on line 1" },
        { "\0\0\0\0", "line 1: expected" },
    };

    [Theory]
    [MemberData(nameof(MalformedRanks))]
    public void A_malformed_vocabulary_is_refused_with_its_line(string text, string problem)
    {
        using VocabularyDirectory directory = new();
        directory.WriteRankText(text);

        var refusal = Assert.Throws<TokenizerException>(() => K2Tokenizer.TryLoad(directory.Path));
        Assert.Contains("tiktoken.model", refusal.Message);
        Assert.Contains(problem, refusal.Message);
    }

    [Theory]
    [InlineData("{", "not JSON")]
    [InlineData("[]", "not an object")]
    [InlineData("{\"added_tokens_decoder\":[]}", "not an object")]
    [InlineData("{\"added_tokens_decoder\":{\"x\":{\"content\":\"a\"}}}", "\"x\", which is not an id")]
    [InlineData("{\"added_tokens_decoder\":{\"7\":{\"content\":\"a\"}}}", "id 7")]
    [InlineData("{\"added_tokens_decoder\":{\"256\":{\"content\":\"\"}}}", "256")]
    [InlineData("{\"added_tokens_decoder\":{\"256\":{\"content\":\"\\ud83d\"}}}", "256")]
    [InlineData("{\"added_tokens_decoder\":{\"256\":\"a\"}}", "256")]
    [InlineData("{\"added_tokens_decoder\":{\"256\":{\"content\":\"a\"},\"257\":{\"content\":\"a\"}}}", "twice")]
    [InlineData("{\"added_tokens_decoder\":{\"256\":{\"content\":\"a\"},\"256\":{\"content\":\"b\"}}}", "twice")]
    [InlineData("{\"added_tokens_decoder\":{\"256\":{\"content\":\"<|reserved_token_300|>\"}}}", "names another id")]
    public void A_malformed_configuration_is_refused_with_its_key(string json, string problem)
    {
        using VocabularyDirectory directory = new();
        directory.WriteConfiguration(json);

        var refusal = Assert.Throws<TokenizerException>(() => K2Tokenizer.TryLoad(directory.Path));
        Assert.Contains("tokenizer_config.json", refusal.Message);
        Assert.Contains(problem, refusal.Message);
    }

    [Fact]
    public void Names_that_the_configuration_does_not_list_come_from_the_published_table()
    {
        using VocabularyDirectory directory = new();
        directory.WriteNames((256 + 100, "<think>"), (256 + 11, "<|tool_call_section_begin|>"), (256 + 258, "[PAST]"));
        K2Tokenizer tokenizer = K2Tokenizer.TryLoad(directory.Path)!;

        Assert.Equal(512, tokenizer.VocabularySize);
        Assert.Equal(256 + 2, tokenizer.Special.MessageEnd);
        Assert.Equal(256 + 100, tokenizer.Special.ThinkBegin);
        Assert.Equal(256 + 23, tokenizer.Special.ThinkEnd);
        Assert.Equal("<|reserved_token_278|>", Encoding.UTF8.GetString(tokenizer.Bytes(256 + 22)));
        Assert.Equal(256 + 11, tokenizer.Special.ToolCallsBegin);
    }

    [Fact]
    public void Without_a_configuration_all_names_come_from_the_published_table()
    {
        using VocabularyDirectory directory = new();
        K2Tokenizer tokenizer = K2Tokenizer.TryLoad(directory.Path)!;

        Assert.Equal([256 + 2, 256 + 1, 256 + 9], tokenizer.Special.Stops);
    }

    [Fact]
    public void Blank_lines_and_windows_line_ends_are_passed_over()
    {
        using VocabularyDirectory directory = new();
        directory.WriteRankText("\r\n" + string.Join("\r\n", Bytes) + "\r\n\r\n");

        Assert.Equal([(int)'a'], K2Tokenizer.TryLoad(directory.Path)!.Encode("a", parseSpecial: false));
    }

    [Fact]
    public void Knows_the_demo_models_vocabulary()
    {
        Assert.Equal(2048, Fixtures.Nano.VocabularySize);
        Assert.Equal(1792 + 2, Fixtures.Nano.Special.MessageEnd);
        Assert.Equal("Hello, 世界 🙂", Fixtures.Nano.Decode(Fixtures.Nano.Encode("Hello, 世界 🙂", parseSpecial: true)));
    }

    private static string Lines(string[] lines) => string.Join('\n', lines);
}
