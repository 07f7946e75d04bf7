using System.Text.Json;
using K2Cluster.Text.Output;

namespace K2Cluster.Text.Tests.Output;

public class OutputParserTests
{
    private const string Section = "<|tool_calls_section_begin|>";
    private const string SectionEnd = "<|tool_calls_section_end|>";
    private const string Call = "<|tool_call_begin|>";
    private const string Arguments = "<|tool_call_argument_begin|>";
    private const string CallEnd = "<|tool_call_end|>";

    [Theory]
    [InlineData("Hello", null, "Hello")]
    [InlineData("<think>sum</think>2", "sum", "2")]
    [InlineData("<think></think>2", null, "2")]
    [InlineData("<think>sum", "sum", null)]
    [InlineData("<think>a</think>b<think>c</think>d", "ac", "bd")]
    [InlineData("2</think>3", null, "23")]
    [InlineData("a<|im_end|>", null, "a")]
    [InlineData("a<|im_user|><|reserved_token_163589|>b<|tool_calls_section_end|>c<|tool_call_end|>d<|tool_call_argument_begin|>e", null, "abcde")]
    [InlineData("", null, null)]
    public void Splits_reasoning_from_content(string output, string? reasoning, string? content)
    {
        AssistantMessage message = Parse(output, out bool hasToolCalls);

        Assert.Equal((reasoning, content), (message.Reasoning, message.Content));
        Assert.Empty(message.ToolCalls);
        Assert.False(hasToolCalls);
    }

    [Fact]
    public void Begins_in_reasoning_when_the_prompt_left_it_open()
    {
        AssistantMessage message = Fold(Fixtures.K2.Encode("sum</think>2", true), new OutputParser(Fixtures.K2, insideReasoning: true));

        Assert.Equal(("sum", "2"), (message.Reasoning, message.Content));
    }

    // id text → id and name given out.
    [Theory]
    [InlineData("functions.get_weather:0", "functions.get_weather:0", "get_weather")]
    [InlineData("search:2", "functions.search:2", "search")]
    [InlineData("functions.ns.tool:3", "functions.ns.tool:3", "ns.tool")]
    [InlineData("functions.get-weather-2:0", "functions.get-weather-2:0", "get-weather-2")]
    [InlineData("functions.search", "functions.search:4", "search")]
    [InlineData("search", "functions.search:4", "search")]
    [InlineData("a:b:1", "functions.a:b:1", "a:b")]
    [InlineData("search:", "functions.search:4", "search")]
    [InlineData(" functions.search:1\n", "functions.search:1", "search")]
    [InlineData("search:99999999999", "functions.search:99999999999:4", "search:99999999999")]
    public void Reads_every_form_of_an_id(string written, string id, string name)
    {
        List<int> ids = Fixtures.K2.Encode($"<think>r</think>{Section}{Call}{written}{Arguments}{{\"a\": 1}}{CallEnd}{SectionEnd}", true);

        AssistantToolCall call = Assert.Single(Fold(ids, new OutputParser(Fixtures.K2, earlierCalls: 4)).ToolCalls);

        Assert.Equal((id, name, "{\"a\": 1}"), (call.Id, call.Name, call.Arguments));
    }

    public static TheoryData<string, string, string?, string?, string[], bool> Sections() => new()
    {
        { "two calls", $"<think>r</think>c{Section}{Call}functions.a:0{Arguments}{{}}{CallEnd}{Call}functions.b:1{Arguments}[1]{CallEnd}{SectionEnd}", "r", "c", ["functions.a:0{}", "functions.b:1[1]"], true },
        { "no </think>", $"<think>r{Section}{Call}a:0{Arguments}{{}}{CallEnd}{SectionEnd}", "r", null, ["functions.a:0{}"], true },
        { "no section", $"c{Call}a:0{Arguments}{{}}{CallEnd}", null, "c", ["functions.a:0{}"], true },
        { "no section end", $"{Section}{Call}a:0{Arguments}{{}}{CallEnd}", null, null, ["functions.a:0{}"], true },
        { "text around calls", $"{Section}x{Call}a:0{Arguments}{{}}{CallEnd}y{Call}b:1{Arguments}{{}}{CallEnd}z{SectionEnd}after<think>r</think>", null, null, ["functions.a:0{}", "functions.b:1{}"], true },
        { "a second section", $"{Section}{Call}a:0{Arguments}{{}}{CallEnd}{SectionEnd}x{Section}{Call}b:1{Arguments}{{}}{CallEnd}{SectionEnd}", null, null, ["functions.a:0{}", "functions.b:1{}"], true },
        { "empty arguments", $"{Section}{Call}a:0{Arguments}{CallEnd}{Call}b:1{Arguments} \n{CallEnd}{Call}c:2{CallEnd}{SectionEnd}", null, null, ["functions.a:0{}", "functions.b:1{}", "functions.c:2{}"], true },
        { "no end of call", $"{Section}{Call}a:0{Arguments}{{1{Call}b:1{Arguments}{{2{SectionEnd}", null, null, ["functions.a:0{1", "functions.b:1{2"], true },
        { "no name", $"{Section}{Call}{Arguments}{{}}{CallEnd}{Call}:0{Arguments}{{}}{CallEnd}{Call}{CallEnd}{Call}functions.{Arguments}{{}}{CallEnd}{SectionEnd}", null, null, [], false },
        { "the same id twice", $"{Section}{Call}a:0{Arguments}1{CallEnd}{Call}a:0{Arguments}2{CallEnd}{Call}a{Arguments}3{CallEnd}{SectionEnd}", null, null, ["functions.a:01", "functions.a:12", "functions.a:23"], true },
        { "markers in arguments", $"{Section}{Call}a:0{Arguments}{{\"x<think>y</think>{Section}<|im_user|>z\"}}{CallEnd}{SectionEnd}", null, null, ["functions.a:0{\"xyz\"}"], true },
        { "cut off in arguments", $"{Section}{Call}a:0{Arguments}{{}}{CallEnd}{Call}b:1{Arguments}{{\"city\": \"Par", null, null, ["functions.a:0{}", "functions.b:1{\"city\": \"Par"], true },
        { "the only call cut off", $"{Section}{Call}b:1{Arguments}{{\"city", null, null, ["functions.b:1{\"city"], false },
        { "cut off before arguments", $"{Section}{Call}b:1{Arguments}", null, null, ["functions.b:1"], false },
        { "cut off in the id", $"{Section}{Call}a:0{Arguments}{{}}{CallEnd}{Call}functions.b", null, null, ["functions.a:0{}"], true },
        { "cut off before a call", $"c{Section}", null, "c", [], false },
    };

    [Theory]
    [MemberData(nameof(Sections))]
    public void Reads_tool_sections(string what, string output, string? reasoning, string? content, string[] calls, bool hasToolCalls)
    {
        AssistantMessage message = Parse(output, out bool found);

        Assert.Equal((what, reasoning, content), (what, message.Reasoning, message.Content));
        Assert.Equal(calls, message.ToolCalls.Select(call => call.Id + call.Arguments));
        Assert.Equal(hasToolCalls, found);
    }

    [Fact]
    public void Arguments_come_token_by_token_after_their_call()
    {
        OutputParser parser = new(Fixtures.K2);
        List<OutputDelta> deltas = [];
        foreach (int id in Fixtures.K2.Encode($"{Section}{Call}functions.f:0{Arguments}", true))
            parser.Append(id, deltas);
        Assert.Equal([new OutputDelta(OutputKind.ToolCall, "", 0, "functions.f:0", "f")], deltas);

        foreach (int id in Fixtures.K2.Encode("{\"city\": \"Paris\"}", false))
        {
            deltas.Clear();
            parser.Append(id, deltas);
            Assert.Equal([new OutputDelta(OutputKind.ToolArguments, Fixtures.K2.Decode([id]), 0)], deltas);
        }
    }

    [Fact]
    public void A_name_in_a_vocabulary_that_writes_the_section_in_the_singular_is_the_same_marker()
    {
        using VocabularyDirectory directory = new();
        directory.WriteNames((256 + 11, "<|tool_call_section_begin|>"), (256 + 12, "<|tool_call_section_end|>"));
        K2Tokenizer tokenizer = K2Tokenizer.TryLoad(directory.Path)!;
        List<int> ids = tokenizer.Encode($"c<|tool_call_section_begin|>x{Call}a:0{Arguments}{{}}{CallEnd}<|tool_call_section_end|>y", true);

        AssistantMessage message = Fold(ids, new OutputParser(tokenizer));

        Assert.Equal(("c", "a"), (message.Content, Assert.Single(message.ToolCalls).Name));
    }

    [Fact]
    public void A_marker_spelt_in_ordinary_tokens_is_text()
    {
        string spelt = $"<think>{Section}{Call}a:0{Arguments}{{}}{CallEnd}";

        Assert.Equal(spelt, Fold(Fixtures.K2.Encode(spelt, parseSpecial: false), new OutputParser(Fixtures.K2)).Content);
    }

    [Fact]
    public void Half_a_character_before_a_marker_ends_as_the_replacement_character()
    {
        byte[] half = [0xF0, 0x9F];
        int[] ids = [.. half.Select(SingleByte), Fixtures.K2.Special.ThinkBegin, .. half.Select(SingleByte)];

        AssistantMessage message = Fold(ids, new OutputParser(Fixtures.K2));

        Assert.Equal(("\uFFFD", "\uFFFD"), (message.Content, message.Reasoning));
    }

    [Fact]
    public void Reads_what_the_demo_model_answers() =>
        Assert.All(Fixtures.JsonFile("k2-nano", "answers.json").EnumerateArray(), example =>
        {
            string completion = example.GetProperty("completion").GetString()!;
            OutputParser parser = new(Fixtures.Nano);
            AssistantMessage message = Fold(Fixtures.Nano.Encode(completion, true), parser);

            Assert.NotNull(message.Reasoning);
            Assert.Equal(completion.Contains(Section), parser.HasToolCalls);
            Assert.All(message.ToolCalls, call => Fixtures.Json(call.Arguments));

            // Rendered again, the message is the completion.
            ChatMessage again = new()
            {
                Role = "assistant",
                ReasoningContent = message.Reasoning,
                Content = [new(message.Content ?? "")],
                ToolCalls = [.. message.ToolCalls.Select(call => new ChatToolCall(call.Id, call.Name, Fixtures.Json(JsonSerializer.Serialize(call.Arguments))))],
            };
            string rendered = ChatTemplate.Render(new ChatConversation([again], [], AddGenerationPrompt: false));
            Assert.EndsWith(message.ToolCalls.Count > 0 ? completion : completion[completion.IndexOf("</think>", StringComparison.Ordinal)..], rendered);
        });

    [Fact]
    public void Is_the_same_message_for_any_tokens_and_any_cutting()
    {
        string[] fragments = ["<think>", "</think>", Section, SectionEnd, Call, Arguments, CallEnd, "<|im_end|>", "functions.f:0", "g:1", " ", "{\"a\": ", "\"é你🙂\"}", "\n", "text"];
        Random random = new(9);
        for (int round = 0; round < 3_000; round++)
        {
            string[] output = [.. Enumerable.Range(0, random.Next(25)).Select(_ => fragments[random.Next(fragments.Length)])];
            List<int> merged = Fixtures.K2.Encode(string.Concat(output), parseSpecial: true);
            List<int> singleBytes = [.. merged.SelectMany(id => Fixtures.K2.IsSpecial(id) ? [id] : Fixtures.K2.Bytes(id).ToArray().Select(SingleByte))];
            OutputParser parser = new(Fixtures.K2);

            string whole = Describe(Fold(merged, parser), parser);
            foreach (List<int> tokens in (List<int>[])[merged, singleBytes])
            {
                OutputParser streaming = new(Fixtures.K2);
                AssistantMessage message = new();
                for (int start = 0; start < tokens.Count;)
                {
                    List<OutputDelta> deltas = [];
                    int end = Math.Min(start + random.Next(1, 6), tokens.Count);
                    for (; start < end; start++)
                        streaming.Append(tokens[start], deltas);
                    deltas.ForEach(message.Add);
                    Assert.DoesNotContain(deltas, delta => delta.Text.Contains("<|") || delta.Text.Contains("think>") || delta.Text.Contains('\uFFFD'));
                }

                List<OutputDelta> last = [];
                streaming.Finish(last);
                last.ForEach(message.Add);
                Assert.Equal(whole, Describe(message, streaming));
            }
        }
    }

    [Fact]
    public void Any_tokens_at_all_give_a_message()
    {
        Random random = new(13);
        for (int round = 0; round < 500; round++)
        {
            OutputParser parser = new(Fixtures.K2);
            int[] ids = [.. Enumerable.Range(0, random.Next(200)).Select(_ => random.Next(3) == 0 ? random.Next(163584, 163610) : random.Next(-5, 163850))];

            AssistantMessage message = Fold(ids, parser);

            Assert.Equal(message.ToolCalls.Count, message.ToolCalls.Select(call => call.Id).Distinct().Count());
            Assert.DoesNotContain(message.ToolCalls, call => call.Name.Length == 0);
        }
    }

    private static AssistantMessage Parse(string output, out bool hasToolCalls)
    {
        OutputParser parser = new(Fixtures.K2);
        AssistantMessage message = Fold(Fixtures.K2.Encode(output, parseSpecial: true), parser);
        hasToolCalls = parser.HasToolCalls;
        return message;
    }

    private static AssistantMessage Fold(IEnumerable<int> ids, OutputParser parser)
    {
        List<OutputDelta> deltas = [];
        foreach (int id in ids)
            parser.Append(id, deltas);
        parser.Finish(deltas);

        AssistantMessage message = new();
        deltas.ForEach(message.Add);
        return message;
    }

    private static int SingleByte(byte value) => SingleByteIds[value];

    private static readonly Dictionary<byte, int> SingleByteIds = Enumerable.Range(0, 163584)
        .Where(id => Fixtures.K2.Bytes(id).Length == 1)
        .ToDictionary(id => Fixtures.K2.Bytes(id)[0]);

    private static string Describe(AssistantMessage message, OutputParser parser) =>
        JsonSerializer.Serialize(new { message.Reasoning, message.Content, message.ToolCalls, parser.HasToolCalls });
}
