using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace K2Cluster.Text.Tests;

public class K2TokenizerTests
{
    private const string AllKindsOfText =
        "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n🚀 (normal) 😶\u200d🌫️ (multiple emojis concatenated) ✅ 🦙🦙 3 33 333 3333 33333 "
        + "333333 3333333 33333333 3.3 3..3 3...3 កាន់តែពិសេសអាច😁 ?我想在apple工作1314151天～ ------======= нещо на Български "
        + "''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL";

    [Fact]
    public void Gives_the_published_ids_of_600_texts_and_their_bytes_back()
    {
        JsonElement[] cases = [.. Fixtures.JsonFile("tokenizer", "tokens.json").EnumerateArray()];
        Assert.Equal(600, cases.Length);
        Assert.All(cases, example =>
        {
            string text = example.GetProperty("text").GetString()!;
            List<int> ids = Fixtures.K2.Encode(text, parseSpecial: true);
            List<int> plain = Fixtures.K2.Encode(text, parseSpecial: false);

            Assert.Equal(example.Ids("ids"), ids);
            Assert.Equal(example.Ids("plain_ids"), plain);
            Assert.Equal(text, Fixtures.K2.Decode(ids));
            Assert.Equal(Encoding.UTF8.GetBytes(text), plain.SelectMany(id => Fixtures.K2.Bytes(id).ToArray()));
            Assert.DoesNotContain(plain, Fixtures.K2.IsSpecial);
        });
    }

    [Fact]
    public void Gives_the_155_ids_that_others_recorded_for_the_published_tokenizer()
    {
        List<int> ids = Fixtures.K2.Encode(AllKindsOfText, parseSpecial: false);

        Assert.Equal(155, ids.Count);
        byte[] hash = SHA256.HashData(Encoding.ASCII.GetBytes($"[{string.Join(", ", ids)}]"));
        Assert.Equal("81212dc7cdb7e0c1074ca62c5aeab0d43c9f52b8a737be7b12a777c953027890", Convert.ToHexStringLower(hash));
    }

    [Theory]
    [InlineData("Hello, world!", new[] { 19180, 11, 2695, 0 })]
    [InlineData("你好，世界", new[] { 33845, 378, 2243 })]
    [InlineData("getUserName iPhone HTTPServer isn't", new[] { 618, 3479, 1263, 1032, 11868, 73374, 4022, 12531 })]
    [InlineData("1234567 3.14", new[] { 6694, 12972, 22, 220, 18, 13, 1626 })]
    [InlineData("日本語テスト こんにちは", new[] { 4546, 63011, 25875, 33360, 220, 16444, 29194, 6880, 43566, 8831 })]
    [InlineData("emoji 🙂👨‍👩‍👧 ok", new[] { 33120, 56774, 64390, 101, 67963, 64390, 102, 67963, 64390, 100, 8961 })]
    [InlineData("DON'T x'S", new[] { 35, 1034, 64833, 1288, 34480 })]
    [InlineData("\r\n\r\n a", new[] { 2298, 261 })]
    [InlineData("𮯰y 𠀀", new[] { 172, 106, 107, 108, 88, 220, 172, 254, 222, 222 })]
    [InlineData("<|im_user|>user<|im_middle|>Hi<|im_end|><|im_assistant|>assistant<|im_middle|>", new[] { 163587, 2482, 163601, 18699, 163586, 163588, 69702, 163601 })]
    [InlineData("", new int[0])]
    public void Gives_the_published_ids(string text, int[] expected) =>
        Assert.Equal(expected, Fixtures.K2.Encode(text, parseSpecial: true));

    [Fact]
    public void Knows_its_special_tokens_and_their_names()
    {
        K2Tokenizer tokenizer = Fixtures.K2;

        Assert.Equal(163840, tokenizer.VocabularySize);
        Assert.Equal([163586, 163585, 163593], tokenizer.Special.Stops);
        Assert.Equal((163606, 163607), (tokenizer.Special.ThinkBegin, tokenizer.Special.ThinkEnd));
        Assert.Equal((163595, 163596), (tokenizer.Special.ToolCallsBegin, tokenizer.Special.ToolCallsEnd));
        Assert.Equal("<|im_end|><|reserved_token_163589|>[PAD]", tokenizer.Decode([163586, 163589, 163839]));
        Assert.Equal([163589], tokenizer.Encode("<|reserved_token_163589|>", parseSpecial: true));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(163840)]
    [InlineData(int.MaxValue)]
    [InlineData(int.MinValue)]
    public void An_id_outside_the_vocabulary_stands_for_nothing(int id)
    {
        Assert.True(Fixtures.K2.Bytes(id).IsEmpty);
        Assert.Equal("a", Fixtures.K2.Decode([id, Fixtures.K2.Encode("a", false)[0]]));
        Assert.False(Fixtures.K2.IsSpecial(id));
    }

    [Fact]
    public void Of_several_names_that_begin_at_a_place_the_longest_wins()
    {
        using VocabularyDirectory directory = new();
        directory.WriteNames((256, "<a>"), (257, "<a><b>"), (258, "<a><b><c>"));
        K2Tokenizer tokenizer = K2Tokenizer.TryLoad(directory.Path)!;

        Assert.Equal([257, 'x', 258, 256, '<', 'b'], tokenizer.Encode("<a><b>x<a><b><c><a><b", parseSpecial: true));
    }

    // No theory: an attribute cannot hold half a surrogate pair.
    [Fact]
    public void An_unpaired_surrogate_is_the_replacement_character() =>
        Assert.All(["\uD83D", "\uDE42", "a\uDE42\uD83Db", "\uD83D\uD83D\uDE42'\uDE42 "], (string text) =>
        {
            string replaced = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));

            Assert.NotEqual(replaced, text);
            Assert.Equal(Fixtures.K2.Encode(replaced, true), Fixtures.K2.Encode(text, true));
            Assert.Equal(replaced, Fixtures.K2.Decode(Fixtures.K2.Encode(text, true)));
        });

    [Fact]
    public void Any_sequence_of_utf16_units_is_encoded_and_comes_back()
    {
        Random random = new(7);
        for (int round = 0; round < 300; round++)
        {
            var units = new char[random.Next(200)];
            for (int index = 0; index < units.Length; index++)
                units[index] = (char)(random.Next(3) switch { 0 => random.Next(0x80), 1 => random.Next(0xD7F0, 0xE010), _ => random.Next(0x10000) });
            string text = new(units);

            Assert.Equal(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)), Fixtures.K2.Decode(Fixtures.K2.Encode(text, false)));
        }
    }

    [Fact]
    public void Is_safe_to_share_between_threads()
    {
        int[] expected = [.. Fixtures.K2.Encode(AllKindsOfText, parseSpecial: true)];

        Parallel.For(0, 64, _ => Assert.Equal(expected, Fixtures.K2.Encode(AllKindsOfText, parseSpecial: true)));
    }
}
