using System.Text;
using System.Text.Json;

namespace K2Cluster.Text.Tests;

public class ChatTemplateTests
{
    private const string DefaultSystem = "<|im_system|>system<|im_middle|>You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>";
    private const string Open = "<|im_assistant|>assistant<|im_middle|>";

    private static readonly int[] DefaultSystemIds = [163594, 14062, 163601, 3900, 554, 24980, 72, 11, 519, 22572, 26626, 5232, 673, 30218, 10065, 22572, 13, 163586];
    private static readonly int[] OpenIds = [163588, 69702, 163601];

    // Every name that the vocabulary knows, and the one the template has that it does not.
    private static readonly string[] SpecialNames =
        [.. Enumerable.Range(163584, 256).Select(id => Encoding.UTF8.GetString(Fixtures.K2.Bytes(id))), "<|media_start|>"];

    [Fact]
    public void Renders_80_conversations_as_the_published_template_does()
    {
        JsonElement[] cases = [.. Fixtures.JsonFile("template", "renders.json").EnumerateArray()];
        Assert.Equal(80, cases.Length);
        Assert.All(cases, example => Assert.Equal(example.GetProperty("text").GetString(), ChatTemplate.Render(Conversations.Read(example))));
    }

    [Fact]
    public void Encodes_80_conversations_as_their_renderings_with_special_tokens_parsed() =>
        Assert.All(Fixtures.JsonFile("template", "renders.json").EnumerateArray(), example =>
        {
            // None of them has a special-token string in what the user, a tool or a declaration says.
            string said = example.GetProperty("messages").GetRawText() + example.GetProperty("tools").GetRawText();
            Assert.DoesNotContain(SpecialNames, name => said.Contains(name));

            ChatConversation conversation = Conversations.Read(example);
            Assert.Equal(Fixtures.K2.Encode(ChatTemplate.Render(conversation), parseSpecial: true), ChatTemplate.Encode(conversation, Fixtures.K2));
            Assert.Equal(Fixtures.Nano.Encode(ChatTemplate.Render(conversation), parseSpecial: true), ChatTemplate.Encode(conversation, Fixtures.Nano));
        });

    [Fact]
    public void Gives_the_published_ids()
    {
        Assert.Equal(
            [.. DefaultSystemIds, 163587, 2482, 163601, 18699, 163586, .. OpenIds],
            ChatTemplate.Encode(new ChatConversation([Conversations.User("Hi")], []), Fixtures.K2));

        ChatMessage system = new() { Role = "system", Content = [new ContentPart("Be brief.")] };
        Assert.Equal(
            [163594, 14062, 163601, 4396, 15533, 13, 163586, 163587, 2482, 163601, 18699, 163586, .. OpenIds],
            ChatTemplate.Encode(new ChatConversation([system, Conversations.User("Hi")], []), Fixtures.K2));

        ChatMessage answer = new() { Role = "assistant", ReasoningContent = "easy", Content = [new ContentPart("2")] };
        Assert.Equal(
            [.. DefaultSystemIds, 163587, 2482, 163601, 16, 10, 16, 30, 163586, 163588, 69702, 163601, 163606, 163607, 17, 163586, 163587, 2482, 163601, 17, 10, 17, 30, 163586, .. OpenIds],
            ChatTemplate.Encode(new ChatConversation([Conversations.User("1+1?"), answer, Conversations.User("2+2?")], []), Fixtures.K2));
    }

    [Fact]
    public void Has_as_many_prompt_tokens_as_the_demo_model_was_asked_with() =>
        Assert.All(Fixtures.JsonFile("k2-nano", "answers.json").EnumerateArray(), example => Assert.Equal(
            example.GetProperty("prompt_tokens").GetInt32(), ChatTemplate.Encode(Conversations.Read(example), Fixtures.Nano).Length));

    [Fact]
    public void An_image_is_the_templates_placeholder()
    {
        ChatConversation conversation = new([new ChatMessage { Role = "user", Content = [new("See: "), new(null), new("?")] }], []);

        Assert.Equal(
            $"{DefaultSystem}<|im_user|>user<|im_middle|>See: <|media_start|>image<|media_content|><|media_pad|><|media_end|>\n?<|im_end|>{Open}",
            ChatTemplate.Render(conversation));
        Assert.Equal(Fixtures.K2.Encode(ChatTemplate.Render(conversation), parseSpecial: true), ChatTemplate.Encode(conversation, Fixtures.K2));
    }

    [Fact]
    public void What_is_absent_or_null_is_nothing()
    {
        ChatMessage assistant = new() { Role = "assistant", ToolCalls = [new("functions.f:0", "f", Fixtures.Json("null")), new("functions.f:1", "f", default)] };
        ChatConversation conversation = new([assistant, new ChatMessage { Role = "tool", Name = "" }, new ChatMessage { Role = "critic" }], [], AddGenerationPrompt: false);

        Assert.Equal(
            DefaultSystem + Open + "<think></think><|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>null<|tool_call_end|>"
            + "<|tool_call_begin|>functions.f:1<|tool_call_argument_begin|><|tool_call_end|><|tool_calls_section_end|><|im_end|>"
            + "<|im_system|>tool<|im_middle|>## Return of \n<|im_end|><|im_system|>critic<|im_middle|><|im_end|>",
            ChatTemplate.Render(conversation));
    }

    [Fact]
    public void Special_token_strings_in_what_anyone_says_stay_text()
    {
        string hostile = string.Concat(SpecialNames);
        JsonElement json = Fixtures.Json(JsonSerializer.Serialize(new Dictionary<string, string> { [hostile] = hostile }));
        ChatConversation Say(string text, JsonElement declaration) => new(
            [
                new ChatMessage { Role = "system", Content = [new(text), new(text)] },
                new ChatMessage { Role = text, Name = text, Content = [new(text)] },
                new ChatMessage { Role = text, Content = [new(text)] },
                new ChatMessage { Role = "user", Content = [new("<|im_"), new("end|>")] },
                new ChatMessage
                {
                    Role = "assistant", ReasoningContent = text, Content = [new(text)],
                    ToolCalls = [new(text, text, declaration), new(text, text, Fixtures.Json(JsonSerializer.Serialize(text)))],
                },
                new ChatMessage { Role = "tool", Name = text, ToolCallId = text, Content = [new(text)] },
            ],
            [declaration]);

        int[] ids = ChatTemplate.Encode(Say(hostile, json), Fixtures.K2);
        int[] harmless = ChatTemplate.Encode(Say("harmless", Fixtures.Json("{\"a\": 1}")), Fixtures.K2);

        Assert.Equal(harmless.Where(Fixtures.K2.IsSpecial), ids.Where(Fixtures.K2.IsSpecial));
        Assert.Equal(ChatTemplate.Render(Say(hostile, json)), Fixtures.K2.Decode(ids));
    }

    [Fact]
    public void A_control_token_that_the_vocabulary_lacks_is_text()
    {
        using VocabularyDirectory directory = new();
        directory.WriteNames((256 + 22, "[OTHER]"), (256 + 23, "[ANOTHER]"));
        K2Tokenizer tokenizer = K2Tokenizer.TryLoad(directory.Path)!;
        ChatMessage answer = new() { Role = "assistant", ReasoningContent = "r", Content = [new("c")] };
        ChatConversation conversation = new([answer], []);

        int[] ids = ChatTemplate.Encode(conversation, tokenizer);

        Assert.Equal(tokenizer.Encode(ChatTemplate.Render(conversation), parseSpecial: true), ids);
        Assert.Contains("<think></think>c", tokenizer.Decode(ids));
    }

    [Fact]
    public void Long_prompts_are_cut_as_their_renderings_are()
    {
        ChatMessage[] messages =
        [
            Conversations.User(new string('a', 30_000)),
            Conversations.User(new string('b', 24_995) + string.Concat(Enumerable.Repeat("xy ", 140_000))),
            Conversations.User(string.Concat(Enumerable.Repeat("word ", 90_000))),
        ];
        ChatConversation conversation = new(messages, []);

        Assert.Equal(Fixtures.K2.Encode(ChatTemplate.Render(conversation), parseSpecial: true), ChatTemplate.Encode(conversation, Fixtures.K2));
    }

    [Fact]
    public void Three_megabytes_of_anything_are_encoded()
    {
        Random random = new(3);
        var units = new char[1_000_000];
        for (int index = 0; index < units.Length; index++)
            units[index] = (char)random.Next(0x10000);
        string text = new(units);

        int[] ids = ChatTemplate.Encode(new ChatConversation([Conversations.User(text)], []), Fixtures.K2);

        Assert.Contains(Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)), Fixtures.K2.Decode(ids));
    }

    [Theory]
    [InlineData("[", "]")]
    [InlineData("{\"a\":", "}")]
    public void Json_that_would_exhaust_the_stack_is_refused(string open, string close)
    {
        // Deep enough for any stack; JsonDocument's own time is quadratic in the depth (7 s for 100,000 levels).
        string deep = string.Concat(Enumerable.Repeat(open, 20_000)) + "1" + string.Concat(Enumerable.Repeat(close, 20_000));
        using JsonDocument document = JsonDocument.Parse(deep, new JsonDocumentOptions { MaxDepth = int.MaxValue });
        ChatMessage calling = new() { Role = "assistant", ToolCalls = [new("functions.f:0", "f", document.RootElement)] };

        Assert.Contains("256 levels", Assert.Throws<ChatTemplateException>(() => ChatTemplate.Render(new ChatConversation([], [document.RootElement]))).Message);
        Assert.Throws<ChatTemplateException>(() => ChatTemplate.Encode(new ChatConversation([calling], []), Fixtures.K2));
    }
}
