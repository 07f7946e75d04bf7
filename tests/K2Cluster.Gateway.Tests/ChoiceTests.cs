using System.Net;
using System.Text.Json;
using Grpc.Core;
using K2Cluster.Engine;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Gateway.Tests;

/// <summary>Several answers to one prompt, and the log-probabilities of tokens.</summary>
public sealed class ChoiceTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Completions = "/v1/completions";
    private const string Call = "<think>Add ü🙂.</think>Let me see.<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|><|tool_calls_section_end|>";

    /// <summary>Answers of several kinds and lengths, by choice.</summary>
    private static readonly string[] Answers = [Call, "<think>No.</think>Hi ü🙂", "one two three stop four", "x"];

    private static MadeUpEngine Engine => new() { Script = request => Tokens.Of(Answers[request.Choice % Answers.Length] + "<|im_end|>") };

    [Fact]
    public async Task More_answers_than_the_engine_ever_takes_are_refused_for_good()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { MaxRequests = 3, Script = _ => Tokens.Of("x<|im_end|>") });
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync(Completions, """{"prompt":"Hi","n":3}""")).Status);
        (HttpStatusCode status, JsonElement body) = await host.PostAsync(Completions, """{"prompt":"Hi","n":4}""");
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.StartsWith("4 answers are asked for at once; this gateway takes 3 at a time", body.GetProperty("error").GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("")]
    [InlineData(",\"stop\":\"stop\"")]
    [InlineData(",\"max_tokens\":5")]
    [InlineData(",\"stop\":\"stop\",\"min_tokens\":30")]
    public async Task A_stream_of_several_chats_says_what_the_whole_answers_say(string more)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Engine);
        string body = $$"""{"messages":[{"role":"user","content":"Hi"}],"n":4,"logprobs":true,"top_logprobs":2,"return_token_ids":true{{more}}""";
        (HttpStatusCode status, JsonElement whole) = await host.PostAsync(Chat, body + "}");
        Assert.True(status == HttpStatusCode.OK, whole.ToString());
        List<string> events = await host.StreamAsync(Chat, body + ",\"stream\":true,\"stream_options\":{\"include_usage\":true}}");

        JsonElement[] chunks = [.. events[..^1].Select(text => JsonElement.Parse(text))];
        Assert.Equal(whole.GetProperty("usage").GetRawText(), chunks[^1].GetProperty("usage").GetRawText());
        JsonElement[] choices = [.. whole.GetProperty("choices").EnumerateArray()];
        Assert.Equal([0, 1, 2, 3], choices.Select(choice => choice.GetProperty("index").GetInt32()));
        int completion = 0;
        foreach (JsonElement choice in choices)
        {
            int index = choice.GetProperty("index").GetInt32();
            JsonElement[] own = [.. chunks[..^1].Select(chunk => Assert.Single(chunk.GetProperty("choices").EnumerateArray())).Where(piece => piece.GetProperty("index").GetInt32() == index)];
            Assert.Equal("""{"role":"assistant","content":""}""", own[0].GetProperty("delta").GetRawText());
            Assert.Equal(choice.GetProperty("message").GetProperty("content").GetString() ?? "", string.Concat(own.Select(piece => Text(piece.GetProperty("delta"), "content"))));
            Assert.Equal(Text(choice.GetProperty("message"), "reasoning_content"), string.Concat(own.Select(piece => Text(piece.GetProperty("delta"), "reasoning_content"))));
            Assert.Equal(choice.GetProperty("finish_reason").GetString(), Assert.Single(own, piece => piece.GetProperty("finish_reason").ValueKind == JsonValueKind.String).GetProperty("finish_reason").GetString());
            JsonElement[] content = [.. choice.GetProperty("logprobs").GetProperty("content").EnumerateArray()];
            int[] ids = [.. choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())];
            Assert.Equal(ids.Length, content.Length);
            completion += content.Length;
            IEnumerable<JsonElement> streamed = own.Select(piece => piece.GetProperty("logprobs")).Where(logprobs => logprobs.ValueKind == JsonValueKind.Object).SelectMany(logprobs => logprobs.GetProperty("content").EnumerateArray());
            Assert.Equal(content.Select(token => token.GetRawText()), streamed.Select(token => token.GetRawText()));
            Assert.Equal(ids, own.SelectMany(piece => piece.GetProperty("token_ids").EnumerateArray()).Select(id => id.GetInt32()));
        }

        Assert.Equal(completion, whole.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
    }

    [Fact]
    public async Task Several_answers_share_seed_and_prompt_differ_by_choice_and_count_the_prompt_once()
    {
        MadeUpEngine engine = Engine;
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        (_, JsonElement one) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"seed":7}""");
        (_, JsonElement three) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"seed":7,"n":3}""");

        Assert.Equal(one.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), three.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        Assert.Equal(one.GetProperty("choices")[0].GetProperty("message").GetRawText(), three.GetProperty("choices")[0].GetProperty("message").GetRawText());
        Assert.Equal([0, 0, 1, 2], engine.Requests.Select(request => request.Choice));
        Assert.All(engine.Requests, request => Assert.Equal(7UL, request.Sampling.Seed));
        Assert.All(engine.Requests, request => Assert.Equal(engine.Requests[0].Prompt.ToArray(), request.Prompt.ToArray()));
    }

    [Fact]
    public async Task Cached_tokens_of_the_prompt_are_told_once()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Script = _ => Tokens.Of("Hi<|im_end|>"), CachedTokens = 3 });
        (_, JsonElement answer) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"n":3}""");

        Assert.Equal(3, answer.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Prompts_times_n_are_in_the_order_of_the_prompts(bool stream)
    {
        MadeUpEngine engine = new() { Script = request => Tokens.Of($"{GatewayHost.Tokenizer.Decode(request.Prompt.ToArray())} {request.Choice}<|im_end|>") };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        string body = $$"""{"prompt":["a","b"],"n":2,"stream":{{(stream ? "true" : "false")}}}""";
        string[] texts = ["", "", "", ""];
        if (stream)
        {
            foreach (JsonElement choice in (await host.StreamAsync(Completions, body))[..^1].Select(text => JsonElement.Parse(text).GetProperty("choices")[0]))
                texts[choice.GetProperty("index").GetInt32()] += choice.GetProperty("text").GetString();
        }
        else
        {
            (_, JsonElement answer) = await host.PostAsync(Completions, body);
            texts = [.. answer.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("text").GetString()!)];
            Assert.Equal(2, answer.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        }

        Assert.Equal(["a 0", "a 1", "b 2", "b 3"], texts);
    }

    [Fact]
    public async Task An_answer_that_fails_ends_its_siblings_and_the_request()
    {
        MadeUpEngine engine = new()
        {
            Script = request => request.Choice == 2 ? throw new GenerationException(GenerationFailure.TimedOut, "late") : Tokens.Of("one two"),
            HangAfter = 1,
        };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        (HttpStatusCode status, _) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"n":3}""");

        Assert.Equal(HttpStatusCode.GatewayTimeout, status);
        Assert.Equal(3, engine.Requests.Count);
        // The siblings hung: that the answer came shows that they were cancelled.
        await engine.Ended.WaitAsync(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Logprobs_of_a_chat_have_token_bytes_and_the_likeliest()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying(Call));
        (_, JsonElement answer) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"logprobs":true,"top_logprobs":3}""");

        JsonElement logprobs = answer.GetProperty("choices")[0].GetProperty("logprobs");
        Assert.Equal(JsonValueKind.Null, logprobs.GetProperty("refusal").ValueKind);
        JsonElement[] content = [.. logprobs.GetProperty("content").EnumerateArray()];
        // All tokens: reasoning, markers, tool calls, the end.
        IReadOnlyList<int> tokens = Tokens.Of(Call + "<|im_end|>");
        Assert.Equal(tokens.Count, content.Length);
        Assert.Equal(tokens.Count, answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32());
        for (int i = 0; i < tokens.Count; i++)
        {
            byte[] bytes = GatewayHost.Tokenizer.Bytes(tokens[i]).ToArray();
            Assert.Equal(bytes, content[i].GetProperty("bytes").EnumerateArray().Select(value => value.GetByte()));
            Assert.Equal(-tokens[i] / 1000f, content[i].GetProperty("logprob").GetSingle());
            JsonElement[] top = [.. content[i].GetProperty("top_logprobs").EnumerateArray()];
            Assert.Equal([-0.1f, -0.2f, -0.3f], top.Select(entry => entry.GetProperty("logprob").GetSingle()));
            Assert.All(top, entry => Assert.Equal(JsonValueKind.Array, entry.GetProperty("bytes").ValueKind));
        }

        Assert.Equal("<think>", content[0].GetProperty("token").GetString());
        Assert.Equal("<|im_end|>", content[^1].GetProperty("token").GetString());
        // The smiley's bytes are spread over several tokens.
        Assert.Contains(content, token => token.GetProperty("token").GetString()!.StartsWith("\\xf0", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Logprobs_of_a_completion_have_the_older_shape()
    {
        const string text = "Hi ü🙂 you";
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying(text));
        const string body = """{"prompt":"a","logprobs":2""";
        (_, JsonElement answer) = await host.PostAsync(Completions, body + "}");
        List<string> events = await host.StreamAsync(Completions, body + ",\"stream\":true}");

        JsonElement logprobs = answer.GetProperty("choices")[0].GetProperty("logprobs");
        IReadOnlyList<int> tokens = Tokens.Of(text + "<|im_end|>");
        string[] names = [.. logprobs.GetProperty("tokens").EnumerateArray().Select(name => name.GetString()!)];
        Assert.Equal((tokens.Count, "Hi", "<|im_end|>"), (names.Length, names[0], names[^1]));
        Assert.Contains(names, name => name.StartsWith("bytes:\\xf0", StringComparison.Ordinal));
        Assert.Equal(tokens.Select(token => -token / 1000f), logprobs.GetProperty("token_logprobs").EnumerateArray().Select(value => value.GetSingle()));
        JsonElement[] top = [.. logprobs.GetProperty("top_logprobs").EnumerateArray()];
        for (int i = 0; i < tokens.Count; i++)
        {
            // The chosen token is there beside the likeliest two, or among them.
            Assert.Equal(tokens[i] % 2 == 0 ? 2 : 3, top[i].GetPropertyCount());
            Assert.True(top[i].TryGetProperty(names[i], out _));
        }

        int[] offsets = [.. logprobs.GetProperty("text_offset").EnumerateArray().Select(offset => offset.GetInt32())];
        Assert.Equal((0, 2), (offsets[0], offsets[1]));
        // Code points: the smiley is one.
        Assert.Equal(text.Length - 1, offsets[^1]);
        JsonElement[] streamed = [.. events[..^1].Select(chunk => JsonElement.Parse(chunk).GetProperty("choices")[0].GetProperty("logprobs")).Where(piece => piece.ValueKind == JsonValueKind.Object)];
        foreach (string member in new[] { "tokens", "token_logprobs", "top_logprobs", "text_offset" })
        {
            Assert.Equal(
                logprobs.GetProperty(member).EnumerateArray().Select(item => item.GetRawText()),
                streamed.SelectMany(piece => piece.GetProperty(member).EnumerateArray()).Select(item => item.GetRawText()));
        }
    }

    [Fact]
    public async Task Without_a_tokenizer_tokens_are_called_by_their_ids()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Script = _ => [7, 8] }, withTokenizer: false);
        (_, JsonElement answer) = await host.PostAsync(Completions, """{"prompt":[5],"max_tokens":2,"return_token_ids":true,"logprobs":1}""");

        JsonElement logprobs = answer.GetProperty("choices")[0].GetProperty("logprobs");
        Assert.Equal(["token_id:7", "token_id:8"], logprobs.GetProperty("tokens").EnumerateArray().Select(name => name.GetString()));
    }

    [Fact]
    public async Task No_logprobs_are_made_for_a_request_that_asks_for_none()
    {
        MadeUpEngine engine = Tokens.Saying("Hi");
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        (_, JsonElement answer) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}]}""");

        Assert.Equal(JsonValueKind.Null, answer.GetProperty("choices")[0].GetProperty("logprobs").ValueKind);
        Assert.Null(engine.Requests[0].Sampling.TopLogprobs);
    }

    [Theory]
    [InlineData(0, "a")]
    [InlineData(3, "a")]
    [InlineData(4, "axy")]
    [InlineData(6, "axyxyx")]
    public async Task A_stop_string_does_not_count_before_the_least_length(int minTokens, string expected)
    {
        // The string is complete with the fourth token and with the sixth, begun two before.
        IReadOnlyList<int> script = [.. new[] { "a", "x", "y", "x", "y", "x", "<|im_end|>" }.Select(part => Assert.Single(Tokens.Of(part)))];
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Script = _ => script });
        (_, JsonElement answer) = await host.PostAsync(Completions, $$"""{"prompt":"a","stop":"xyx","min_tokens":{{minTokens}}}""");

        Assert.Equal(expected, answer.GetProperty("choices")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task Over_gRPC_choices_and_logprobs_are_those_of_HTTP()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Engine);
        (_, JsonElement whole) = await host.PostAsync(Chat, """{"messages":[{"role":"user","content":"Hi"}],"n":4,"logprobs":true,"top_logprobs":2}""");
        ChatRequest request = new()
        {
            Conversation = new Conversation { Messages = { new ChatMessage { Role = "user", Content = "Hi" } } },
            Options = new GenerationOptions { N = 4, Logprobs = 2 },
        };
        List<ChatEvent> events = [];
        await foreach (ChatEvent item in new Inference.InferenceClient(host.Channel).Chat(request).ResponseStream.ReadAllAsync())
            events.Add(item);

        Assert.Single(events, item => item.EventCase == ChatEvent.EventOneofCase.Started);
        Assert.Equal(ChatEvent.EventOneofCase.Started, events[0].EventCase);
        uint prompt = 0;
        for (int choice = 0; choice < 4; choice++)
        {
            ChatEvent[] own = [.. events.Where(item => item.Choice == choice)];
            JsonElement same = whole.GetProperty("choices")[choice];
            Assert.Equal(Text(same.GetProperty("message"), "content"), string.Concat(own.Select(item => item.Content)));
            JsonElement[] content = [.. same.GetProperty("logprobs").GetProperty("content").EnumerateArray()];
            Protocol.V1.TokenLogprobs[] logprobs = [.. own.SelectMany(item => item.Logprobs)];
            Assert.Equal(content.Select(token => token.GetProperty("logprob").GetSingle()), logprobs.Select(token => token.Chosen.Logprob));
            Assert.All(logprobs, token => Assert.Equal(2, token.Top.Count));
            Assert.Equal(content.Select(token => token.GetProperty("bytes").GetArrayLength()), logprobs.Select(token => token.Chosen.Text.Length));
            Finished finished = Assert.Single(own, item => item.EventCase == ChatEvent.EventOneofCase.Finished).Finished;
            Assert.Equal((uint)content.Length, finished.Usage.CompletionTokens);
            prompt += finished.Usage.PromptTokens;
        }

        Assert.Equal(events[0].Started.PromptTokens, prompt);
    }

    [Fact]
    public async Task Over_gRPC_the_samplers_parameters_reach_it()
    {
        MadeUpEngine engine = Tokens.Saying("Hi");
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        GenerateRequest request = new()
        {
            Text = "x",
            Options = new GenerationOptions
            {
                TopK = 5,
                MinP = 0.5f,
                RepetitionPenalty = 2,
                PresencePenalty = 1,
                FrequencyPenalty = -1,
                LogitBias = { { 3, -4f } },
                StopTokenIds = { 9 },
                MinTokens = 2,
            },
        };
        await foreach (GenerateEvent _ in new Inference.InferenceClient(host.Channel).Generate(request).ResponseStream.ReadAllAsync())
        {
        }

        SamplingParameters sampling = engine.Requests[0].Sampling;
        Assert.Equal((5, 0.5f, 2f, 1f, -1f, 2), (sampling.TopK, sampling.MinP, sampling.RepetitionPenalty, sampling.PresencePenalty, sampling.FrequencyPenalty, sampling.MinTokens));
        Assert.Equal([new TokenBias(3, -4)], sampling.LogitBias);
        Assert.Contains(9, engine.Requests[0].StopTokens);
        Assert.Null(sampling.TopLogprobs);
    }

    private static string Text(JsonElement parent, string name) => parent.TryGetProperty(name, out JsonElement text) ? text.GetString() ?? "" : "";
}
