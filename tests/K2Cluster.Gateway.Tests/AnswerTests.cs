using System.Net;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace K2Cluster.Gateway.Tests;

/// <summary>The shapes of answers, and that a stream says what a whole answer says.</summary>
public sealed class AnswerTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Hi = """{"messages":[{"role":"user","content":"Hi"}]}""";

    private const string Call = "<think>Add.</think>Let me see.<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|>"
        + "<|tool_call_begin|>functions.add:1<|tool_call_argument_begin|>{\"a\": 2}<|tool_call_end|><|tool_calls_section_end|>";

    private static readonly JsonSerializerOptions Raw = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public async Task A_chat_answer_has_OpenAIs_shape_with_reasoning_beside_content()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("<think>Short.</think>Hello ü🙂"));
        (HttpStatusCode status, JsonElement answer) = await host.PostAsync(Chat, Hi);

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.StartsWith("chatcmpl-", answer.GetProperty("id").GetString(), StringComparison.Ordinal);
        Assert.Equal("chat.completion", answer.GetProperty("object").GetString());
        Assert.Equal(GatewayHost.Model, answer.GetProperty("model").GetString());
        JsonElement choice = Assert.Single(answer.GetProperty("choices").EnumerateArray());
        Assert.Equal(0, choice.GetProperty("index").GetInt32());
        Assert.Equal("stop", choice.GetProperty("finish_reason").GetString());
        Assert.True(JsonElement.DeepEquals(JsonElement.Parse("""{"role":"assistant","content":"Hello ü🙂","reasoning_content":"Short."}"""), choice.GetProperty("message")), choice.ToString());
        int reasoning = Tokens.Of("Short.").Count;
        int completion = Tokens.Of("<think>Short.</think>Hello ü🙂<|im_end|>").Count;
        JsonElement usage = answer.GetProperty("usage");
        Assert.Equal(completion, usage.GetProperty("completion_tokens").GetInt32());
        Assert.Equal(reasoning, usage.GetProperty("completion_tokens_details").GetProperty("reasoning_tokens").GetInt32());
        Assert.Equal(usage.GetProperty("prompt_tokens").GetInt32() + completion, usage.GetProperty("total_tokens").GetInt32());
        Assert.False(answer.TryGetProperty("prompt_token_ids", out _));
    }

    [Fact]
    public async Task Tool_calls_come_back_with_ids_and_arguments()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying(Call));
        (_, JsonElement answer) = await host.PostAsync(Chat, Hi);

        JsonElement choice = answer.GetProperty("choices")[0];
        Assert.Equal("tool_calls", choice.GetProperty("finish_reason").GetString());
        Assert.Equal("Let me see.", choice.GetProperty("message").GetProperty("content").GetString());
        Assert.Equal(
            """[{"id":"functions.add:0","type":"function","function":{"name":"add","arguments":"{\"a\": 1}"}},{"id":"functions.add:1","type":"function","function":{"name":"add","arguments":"{\"a\": 2}"}}]""",
            choice.GetProperty("message").GetProperty("tool_calls").GetRawText());
    }

    [Fact]
    public async Task Calls_that_are_not_wanted_do_not_come_back()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying(Call));
        (_, JsonElement answer) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"tool_choice":"none"}""");

        JsonElement choice = answer.GetProperty("choices")[0];
        Assert.Equal("stop", choice.GetProperty("finish_reason").GetString());
        Assert.False(choice.GetProperty("message").TryGetProperty("tool_calls", out _));
    }

    [Theory]
    [InlineData("<think>Short.</think>Hello 🙂 there", "")]
    [InlineData("no reasoning at all", "")]
    [InlineData("<think>thinks, and thinks, and then", ",\"max_tokens\":4")]
    [InlineData(Call, "")]
    [InlineData(Call, ",\"stop\":\"see\"")]
    [InlineData("<think>a b c d</think>one two three four", ",\"stop\":[\"three\",\"c\\u0020d\"]")]
    [InlineData("<think>a</think>one two three four", ",\"stop\":[\"wo thr\",\"zzz\"]")]
    public async Task A_stream_says_what_the_whole_answer_says(string text, string more)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying(text));
        string body = $$"""{"messages":[{"role":"user","content":"Hi"}],"return_token_ids":true{{more}}""";
        (_, JsonElement whole) = await host.PostAsync(Chat, body + "}");
        List<string> events = await host.StreamAsync(Chat, body + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");

        JsonElement choice = whole.GetProperty("choices")[0];
        (JsonElement Message, JsonElement Finish, JsonElement Usage, int[] Tokens, JsonElement Prompt) joined = Joined(events);
        Assert.Equal(choice.GetProperty("message").GetRawText(), joined.Message.GetRawText());
        Assert.Equal(choice.GetProperty("finish_reason").GetRawText(), joined.Finish.GetRawText());
        Assert.Equal(whole.GetProperty("usage").GetRawText(), joined.Usage.GetRawText());
        Assert.Equal(choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()), joined.Tokens);
        Assert.Equal(whole.GetProperty("prompt_token_ids").GetRawText(), joined.Prompt.GetRawText());
    }

    [Fact]
    public async Task Any_tokens_at_all_stream_as_they_come_whole()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine());
        for (int seed = 0; seed < 40; seed++)
        {
            string body = $$"""{"messages":[{"role":"user","content":"Hi"}],"max_tokens":200,"seed":{{seed}},"ignore_eos":{{(seed % 2 == 0 ? "true" : "false")}},"stop":["e a","the"],"return_token_ids":true""";
            (_, JsonElement whole) = await host.PostAsync(Chat, body + "}");
            (JsonElement message, JsonElement finish, _, int[] tokens, _) = Joined(await host.StreamAsync(Chat, body + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}"));

            JsonElement choice = whole.GetProperty("choices")[0];
            Assert.Equal(choice.GetProperty("message").GetRawText(), message.GetRawText());
            Assert.Equal(choice.GetProperty("finish_reason").GetRawText(), finish.GetRawText());
            Assert.Equal(choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()), tokens);
        }
    }

    [Fact]
    public async Task A_stream_has_its_first_role_its_reason_and_its_end_in_the_right_places()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hello there"));
        List<string> events = await host.StreamAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"stream":true}""");

        Assert.Equal("[DONE]", events[^1]);
        JsonElement[] chunks = [.. events[..^1].Select(text => JsonElement.Parse(text))];
        Assert.All(chunks, chunk => Assert.Equal("chat.completion.chunk", chunk.GetProperty("object").GetString()));
        Assert.All(chunks, chunk => Assert.Equal(chunks[0].GetProperty("id").GetString(), chunk.GetProperty("id").GetString()));
        Assert.All(chunks, chunk => Assert.False(chunk.TryGetProperty("usage", out _)));
        Assert.Equal("""{"role":"assistant","content":""}""", chunks[0].GetProperty("choices")[0].GetProperty("delta").GetRawText());
        Assert.Equal("stop", chunks[^1].GetProperty("choices")[0].GetProperty("finish_reason").GetString());
        Assert.All(chunks[..^1], chunk => Assert.Equal(JsonValueKind.Null, chunk.GetProperty("choices")[0].GetProperty("finish_reason").ValueKind));
    }

    [Theory]
    [InlineData("one two three four", "\"two\"", "one ")]
    [InlineData("one two three four", "\"e t\"", "on")]
    [InlineData("one two three four", "[\"four\",\"thr\"]", "one two ")]
    [InlineData("one two three four", "\"five\"", "one two three four")]
    public async Task A_completion_ends_before_a_stop_string(string text, string stop, string expected)
    {
        MadeUpEngine engine = Tokens.Saying(text);
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        string body = $$"""{"prompt":"x","max_tokens":50,"stop":{{stop}}""";
        (_, JsonElement whole) = await host.PostAsync("/v1/completions", body + "}");
        List<string> events = await host.StreamAsync("/v1/completions", body + ",\"stream\":true}");

        Assert.Equal(expected, whole.GetProperty("choices")[0].GetProperty("text").GetString());
        Assert.Equal("stop", whole.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
        Assert.Equal(expected, string.Concat(events[..^1].Select(chunk => JsonElement.Parse(chunk).GetProperty("choices")[0].GetProperty("text").GetString())));
    }

    [Fact]
    public async Task A_stop_string_ends_the_work_in_the_engine()
    {
        MadeUpEngine engine = new() { Script = _ => Tokens.Of("one two three four five"), HangAfter = Tokens.Of("one two").Count };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        (_, JsonElement answer) = await host.PostAsync("/v1/completions", """{"prompt":"x","max_tokens":50,"stop":"two"}""");

        Assert.Equal("one ", answer.GetProperty("choices")[0].GetProperty("text").GetString());
        Assert.True(await engine.Ended.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Several_prompts_give_a_choice_each(bool stream)
    {
        MadeUpEngine engine = new() { Script = request => Tokens.Of($"echo {GatewayHost.Tokenizer.Decode(request.Prompt.ToArray())}<|im_end|>") };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        string body = $$"""{"prompt":["a","bb",{{"\"c\""}}],"stream":{{(stream ? "true" : "false")}}}""";

        string[] texts = ["", "", ""];
        if (stream)
        {
            foreach (JsonElement choice in (await host.StreamAsync("/v1/completions", body))[..^1].Select(text => JsonElement.Parse(text).GetProperty("choices")[0]))
                texts[choice.GetProperty("index").GetInt32()] += choice.GetProperty("text").GetString();
        }
        else
        {
            (_, JsonElement answer) = await host.PostAsync("/v1/completions", body);
            texts = [.. answer.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("text").GetString()!)];
            Assert.Equal(3, answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32() - Tokens.Of("bb").Count + 1);
        }

        Assert.Equal(["echo a", "echo bb", "echo c"], texts);
    }

    [Theory]
    [InlineData("", null)]
    [InlineData(",\"seed\":7", 7L)]
    [InlineData(",\"seed\":-1,\"stream\":true", -1L)]
    public async Task Several_prompts_have_one_seed_which_the_client_is_told_and_differ_by_their_index(string more, long? seed)
    {
        MadeUpEngine engine = Tokens.Saying("Hi");
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        using HttpResponseMessage response = await host.Http.PostAsync("/v1/completions", GatewayHost.Json($$"""{"prompt":["a","b","c"]{{more}}}"""));
        await response.Content.ReadAsStringAsync();

        long told = long.Parse(Assert.Single(response.Headers.GetValues("x-k2-seed")), System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(seed ?? told, told);
        Assert.All(engine.Requests, request => Assert.Equal((ulong)told, request.Sampling.Seed));
        Assert.Equal([0, 1, 2], engine.Requests.Select(request => request.Choice).Order());
    }

    [Theory]
    [InlineData("", null)]
    [InlineData(",\"max_tokens\":20000", 20_000)]
    [InlineData(",\"max_completion_tokens\":3", 3)]
    public async Task A_chat_may_have_what_it_asks_for_or_all_that_the_context_leaves(string more, int? expected)
    {
        MadeUpEngine engine = new() { MaxContext = 65_536, Script = _ => Tokens.Of("Hi<|im_end|>") };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync(Chat, $$"""{"messages":[{"role":"user","content":"Hi"}]{{more}}}""")).Status);

        Assert.Equal(expected ?? 65_536 - engine.Requests[0].Prompt.Length, engine.Requests[0].MaxTokens);
    }

    [Fact]
    public async Task One_prompt_that_fails_ends_the_others()
    {
        MadeUpEngine engine = new()
        {
            Script = request => request.Prompt.Length > 1 ? throw new Engine.GenerationException(Engine.GenerationFailure.TimedOut, "late") : Tokens.Of("one two"),
            HangAfter = 1,
        };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        (HttpStatusCode status, _) = await host.PostAsync("/v1/completions", """{"prompt":[[1],[1,2]]}""");

        Assert.Equal(HttpStatusCode.GatewayTimeout, status);
    }

    [Fact]
    public async Task Token_ids_come_with_each_choice_when_asked_for()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        (_, JsonElement answer) = await host.PostAsync("/v1/completions", """{"prompt":[5,6],"return_token_ids":true}""");

        JsonElement choice = answer.GetProperty("choices")[0];
        Assert.Equal([5, 6], choice.GetProperty("prompt_token_ids").EnumerateArray().Select(id => id.GetInt32()));
        Assert.Equal(Tokens.Of("Hi<|im_end|>"), choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()));
    }

    [Fact]
    public async Task Without_a_tokenizer_ids_are_served_and_text_is_refused()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Script = _ => [7, 8, 9, 10] }, withTokenizer: false);
        (HttpStatusCode status, JsonElement answer) = await host.PostAsync("/v1/completions", """{"prompt":[5],"max_tokens":3,"return_token_ids":true}""");

        Assert.Equal(HttpStatusCode.OK, status);
        Assert.Equal([7, 8, 9], answer.GetProperty("choices")[0].GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()));
        List<string> events = await host.StreamAsync("/v1/completions", """{"prompt":[5],"max_tokens":3,"return_token_ids":true,"stream":true}""");
        Assert.Equal([7, 8, 9], events[..^1].SelectMany(text => JsonElement.Parse(text).GetProperty("choices")[0].GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())));

        foreach ((string path, string body) in new[]
        {
            ("/v1/completions", """{"prompt":[5]}"""),
            ("/v1/completions", """{"prompt":"a","return_token_ids":true}"""),
            ("/v1/completions", """{"prompt":[5],"stop":"a","return_token_ids":true}"""),
            (Chat, Hi),
            ("/tokenize", """{"prompt":"a"}"""),
            ("/detokenize", """{"tokens":[1]}"""),
        })
        {
            (status, answer) = await host.PostAsync(path, body);
            Assert.Equal(HttpStatusCode.BadRequest, status);
            Assert.Equal("no_tokenizer", answer.GetProperty("error").GetProperty("code").GetString());
        }
    }

    [Fact]
    public async Task Text_becomes_tokens_and_tokens_text()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine());
        (_, JsonElement tokens) = await host.PostAsync("/tokenize", """{"prompt":"Hi ü🙂<|im_end|>"}""");
        Assert.Equal(Tokens.Of("Hi ü🙂<|im_end|>"), tokens.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32()));
        Assert.Equal(4096, tokens.GetProperty("max_model_len").GetInt32());

        (_, JsonElement text) = await host.PostAsync("/detokenize", $$"""{"tokens":{{tokens.GetProperty("tokens").GetRawText()}}}""");
        Assert.Equal("Hi ü🙂<|im_end|>", text.GetProperty("prompt").GetString());

        (_, JsonElement open) = await host.PostAsync("/tokenize", Hi);
        (_, JsonElement closed) = await host.PostAsync("/tokenize", """{"messages":[{"role":"user","content":"Hi"}],"add_generation_prompt":false}""");
        Assert.True(open.GetProperty("count").GetInt32() > closed.GetProperty("count").GetInt32());
    }

    /// <summary>The message that a client puts together from a stream, with its members in the order of a whole one.</summary>
    private static (JsonElement Message, JsonElement Finish, JsonElement Usage, int[] Tokens, JsonElement Prompt) Joined(List<string> events)
    {
        StringBuilder content = new();
        StringBuilder reasoning = new();
        List<(string Id, string Name, StringBuilder Arguments)> calls = [];
        List<int> tokens = [];
        JsonElement finish = default;
        JsonElement[] chunks = [.. events[..^1].Select(text => JsonElement.Parse(text))];
        foreach (JsonElement choice in chunks[..^1].Select(chunk => chunk.GetProperty("choices")[0]))
        {
            finish = choice.GetProperty("finish_reason");
            tokens.AddRange(choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()));
            JsonElement delta = choice.GetProperty("delta");
            if (delta.TryGetProperty("content", out JsonElement text))
                content.Append(text.GetString());
            if (delta.TryGetProperty("reasoning_content", out text))
                reasoning.Append(text.GetString());
            if (!delta.TryGetProperty("tool_calls", out JsonElement pieces))
                continue;
            JsonElement piece = Assert.Single(pieces.EnumerateArray());
            JsonElement function = piece.GetProperty("function");
            if (piece.TryGetProperty("id", out JsonElement id))
                calls.Add((id.GetString()!, function.GetProperty("name").GetString()!, new StringBuilder()));
            calls[piece.GetProperty("index").GetInt32()].Arguments.Append(function.GetProperty("arguments").GetString());
        }

        Dictionary<string, object?> message = new() { ["role"] = "assistant", ["content"] = content.Length == 0 && calls.Count > 0 ? null : content.ToString() };
        if (reasoning.Length > 0)
            message["reasoning_content"] = reasoning.ToString();
        if (calls.Count > 0)
            message["tool_calls"] = calls.Select(call => new { id = call.Id, type = "function", function = new { name = call.Name, arguments = call.Arguments.ToString() } });
        return (JsonSerializer.SerializeToElement(message, Raw), finish, chunks[^1].GetProperty("usage"), [.. tokens], chunks[0].GetProperty("prompt_token_ids"));
    }
}
