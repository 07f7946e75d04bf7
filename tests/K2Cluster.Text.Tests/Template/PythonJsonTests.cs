using System.Text;
using System.Text.Json;
using K2Cluster.Text.Template;

namespace K2Cluster.Text.Tests.Template;

/// <summary>Expected texts are what CPython 3.11's json.dumps(json.loads(text), ensure_ascii=False) gives.</summary>
public class PythonJsonTests
{
    [Theory]
    [InlineData("0", "0")]
    [InlineData("-0", "0")]
    [InlineData("123456789012345678901234567890", "123456789012345678901234567890")]
    [InlineData("1.0", "1.0")]
    [InlineData("-0.0", "-0.0")]
    [InlineData("1e5", "100000.0")]
    [InlineData("1E+2", "100.0")]
    [InlineData("1.50", "1.5")]
    [InlineData("0.1", "0.1")]
    [InlineData("0.30000000000000004", "0.30000000000000004")]
    [InlineData("0.0001", "0.0001")]
    [InlineData("0.00012345", "0.00012345")]
    [InlineData("0.00001", "1e-05")]
    [InlineData("123456.789e-12", "1.23456789e-07")]
    [InlineData("1e15", "1000000000000000.0")]
    [InlineData("9999999999999998.0", "9999999999999998.0")]
    [InlineData("1e16", "1e+16")]
    [InlineData("12345678901234567890.0", "1.2345678901234567e+19")]
    [InlineData("1e100", "1e+100")]
    [InlineData("1.7976931348623157e308", "1.7976931348623157e+308")]
    [InlineData("5e-324", "5e-324")]
    [InlineData("1e-400", "0.0")]
    [InlineData("1e400", "Infinity")]
    [InlineData("-1e400", "-Infinity")]
    public void Numbers(string source, string expected) => Assert.Equal(expected, Arguments(source));

    [Theory]
    [InlineData(@"""a\/b\""\\""", @"""a/b\""\\""")]
    [InlineData(@"""\u0000\u001f\b\f\n\r\t""", @"""\u0000\u001f\b\f\n\r\t""")]
    [InlineData(@"""\u007f\u00e9\u2028<&>'""", "\"\u007f\u00e9\u2028<&>'\"")]
    [InlineData(@"""\ud83d\ude42""", "\"\ud83d\ude42\"")]
    [InlineData("[ ]", "[]")]
    [InlineData("{ }", "{}")]
    [InlineData("[1,true,false,null,\"x\",[2]]", "[1, true, false, null, \"x\", [2]]")]
    [InlineData("{\"b\":1,\"a\":{\"d\":[],\"c\":2}}", "{\"b\": 1, \"a\": {\"d\": [], \"c\": 2}}")]
    [InlineData("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\": 3, \"b\": 2}")]
    public void Arguments_keep_their_order(string source, string expected) => Assert.Equal(expected, Arguments(source));

    // No theory: an attribute cannot hold half a surrogate pair.
    [Fact]
    public void An_escaped_half_of_a_surrogate_pair_stays_one()
    {
        Assert.Equal("\"\ud83d\"", Arguments(@"""\ud83d"""));
        Assert.Equal("{\"\ude42\\n\": \"\ude42\"}", Arguments(@"{""\ude42\n"": ""\ude42""}"));
    }

    [Fact]
    public void Keys_of_tools_are_sorted_by_code_point_at_every_level() => Assert.Equal(
        "[[{\"\":0,\"A\":{\"a\":1.0,\"ab\":2,\"b\":3},\"a\":5,\"\uD83D\":6,\"\uFFFD\":7,\"\uD83D\uDE42\":8}]]",
        Tools("""[{"\ud83d\ude42":8,"\ufffd":7,"\ud83d":6,"a":4,"A":{"b":3,"ab":2,"a":1.0},"":0,"a":5}]"""));

    [Fact]
    public void The_deepest_json_that_is_rendered_is_256_levels()
    {
        string deep = new string('[', 256) + new string(']', 256);

        Assert.Equal(deep, Arguments(deep));
        Assert.Throws<ChatTemplateException>(() => Arguments($"[{deep}]"));
    }

    private static string Arguments(string json)
    {
        StringBuilder output = new();
        using JsonDocument document = Parse(json);
        PythonJson.WriteArguments(document.RootElement, output);
        return output.ToString();
    }

    private static string Tools(string json)
    {
        StringBuilder output = new();
        using JsonDocument document = Parse(json);
        PythonJson.WriteTools([document.RootElement], output);
        return output.ToString();
    }

    private static JsonDocument Parse(string json) => JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 1000 });
}
