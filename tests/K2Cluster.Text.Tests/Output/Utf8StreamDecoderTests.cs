using System.Text;
using K2Cluster.Text.Output;

namespace K2Cluster.Text.Tests.Output;

public class Utf8StreamDecoderTests
{
    [Fact]
    public void Gives_a_character_when_its_last_byte_is_there()
    {
        Utf8StreamDecoder decoder = new();

        Assert.Equal(["", "", "", "🙂", "a", ""], new byte[] { 0xF0, 0x9F, 0x99, 0x82, (byte)'a', 0xE4 }.Select(value => decoder.Append([value])));
        Assert.Equal("\uFFFD", decoder.Flush());
        Assert.Equal("", decoder.Flush());
        Assert.Equal("b", decoder.Append("b"u8));
    }

    [Fact]
    public void Equals_decoding_the_whole_for_any_bytes_and_any_cuts()
    {
        byte[] likely = [0x41, 0x80, 0xBF, 0xC0, 0xC3, 0xA9, 0xE0, 0xA0, 0xE4, 0xED, 0xEF, 0xBB, 0xF0, 0x9F, 0x99, 0x82, 0xF4, 0x90, 0xF5, 0xFF];
        byte[] valid = Encoding.UTF8.GetBytes("aé你🙂\uFEFF\u0301");
        Random random = new(11);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bytes = random.Next(3) == 0
                ? [.. Enumerable.Repeat(valid, 3).SelectMany(value => value)]
                : [.. Enumerable.Range(0, random.Next(16)).Select(_ => random.Next(5) == 0 ? (byte)random.Next(256) : likely[random.Next(likely.Length)])];

            Utf8StreamDecoder decoder = new();
            StringBuilder joined = new();
            for (int start = 0; start < bytes.Length;)
            {
                int length = Math.Min(random.Next(6), bytes.Length - start);
                string piece = decoder.Append(bytes.AsSpan(start, length));
                Assert.False(piece.Length > 0 && (char.IsHighSurrogate(piece[^1]) || char.IsLowSurrogate(piece[0])));
                joined.Append(piece);
                start += length;
            }

            joined.Append(decoder.Flush());
            Assert.Equal(Encoding.UTF8.GetString(bytes), joined.ToString());
        }
    }
}
