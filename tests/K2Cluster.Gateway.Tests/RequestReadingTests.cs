using System.Net;
using System.Text.Json;
using K2Cluster.Engine;

namespace K2Cluster.Gateway.Tests;

/// <summary>What each parameter does to the request that reaches the engine, and how each wrong one is refused.</summary>
public sealed class RequestReadingTests : IAsyncLifetime
{
    private const string Chat = "/v1/chat/completions";
    private const string Completions = "/v1/completions";

    private readonly MadeUpEngine _engine = Tokens.Saying("Hi");
    private GatewayHost _host = null!;

    public async Task InitializeAsync() => _host = await GatewayHost.StartAsync(_engine);

    public async Task DisposeAsync() => await _host.DisposeAsync();

    public static TheoryData<string, string, string?, string?> Refused => new()
    {
        // path, body, param, code
        { Chat, "{", null, "invalid_json" },
        { Chat, "[]", null, "invalid_json" },
        { Chat, """{"messages":[],"messages":[]}""", null, "invalid_json" },
        { Chat, """{"messages":[{"role":"user","content":"\ud800"}]}""", null, "invalid_json" },
        { Chat, """{"\udfff":1,"messages":[{"role":"user","content":"a"}]}""", null, "invalid_json" },
        { Chat, "{}", "messages", "missing_required_parameter" },
        { Chat, """{"messages":null}""", "messages", "missing_required_parameter" },
        { Chat, """{"messages":[]}""", "messages", null },
        { Chat, """{"messages":"Hi"}""", "messages", null },
        { Chat, """{"messages":["Hi"]}""", "messages[0]", null },
        { Chat, """{"messages":[{"content":"Hi"}]}""", "messages[0].role", "missing_required_parameter" },
        { Chat, """{"messages":[{"role":"","content":"Hi"}]}""", "messages[0].role", null },
        { Chat, """{"messages":[{"role":"user"}]}""", "messages[0].content", "missing_required_parameter" },
        { Chat, """{"messages":[{"role":"user","content":5}]}""", "messages[0].content", null },
        { Chat, """{"messages":[{"role":"user","content":["Hi"]}]}""", "messages[0].content[0]", null },
        { Chat, """{"messages":[{"role":"user","content":[{"type":"text"}]}]}""", "messages[0].content[0].text", "missing_required_parameter" },
        { Chat, """{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]}]}""", "messages[0].content[1].type", "unsupported_parameter" },
        { Chat, """{"messages":[{"role":"tool","content":"4"}]}""", "messages[0].tool_call_id", "missing_required_parameter" },
        { Chat, """{"messages":[{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}]}""", "messages[0].tool_calls[0].id", "missing_required_parameter" },
        { Chat, """{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":7}}]}]}""", "messages[0].tool_calls[0].function.arguments", null },
        { Chat, """{"messages":[{"role":"assistant","reasoning_content":[]}]}""", "messages[0].reasoning_content", null },
        { Chat, With("\"model\":\"other\""), "model", "model_not_found" },
        { Chat, With("\"model\":7"), "model", null },
        { Chat, With("\"tools\":{}"), "tools", null },
        { Chat, With("\"tools\":[{\"type\":\"function\"}]"), "tools[0].function", "missing_required_parameter" },
        { Chat, With("\"tools\":[{\"type\":\"web\",\"function\":{\"name\":\"f\"}}]"), "tools[0].type", "unsupported_parameter" },
        { Chat, With("\"tools\":[{\"function\":{\"name\":\"\"}}]"), "tools[0].function.name", null },
        { Chat, With("\"tool_choice\":\"required\""), "tool_choice", "unsupported_parameter" },
        { Chat, With("\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":\"f\"}}"), "tool_choice", "unsupported_parameter" },
        { Chat, With("\"tool_choice\":\"some\""), "tool_choice", null },
        { Chat, With("\"tool_choice\":1"), "tool_choice", null },
        { Chat, With("\"stream\":\"yes\""), "stream", null },
        { Chat, With("\"stream_options\":{\"include_usage\":true}"), "stream_options", null },
        { Chat, With("\"stream\":true,\"stream_options\":{\"include_usage\":1}"), "stream_options.include_usage", null },
        { Chat, With("\"stream\":true,\"stream_options\":[]"), "stream_options", null },
        { Chat, With("\"max_tokens\":0"), "max_tokens", null },
        { Chat, With("\"max_tokens\":1.5"), "max_tokens", null },
        { Chat, With("\"max_tokens\":\"5\""), "max_tokens", null },
        { Chat, With("\"max_tokens\":99999999999999999999"), "max_tokens", null },
        { Chat, With("\"max_tokens\":4096"), "max_tokens", "context_length_exceeded" },
        { Chat, $$"""{"messages":[{"role":"user","content":"{{new string('a', 1 << 20)}}"}]}""", "messages", "context_length_exceeded" },
        { Completions, $$"""{"prompt":["a","{{new string('a', 1 << 20)}}"]}""", "prompt[1]", "context_length_exceeded" },
        { Chat, With("\"max_completion_tokens\":-1"), "max_completion_tokens", null },
        { Chat, With("\"temperature\":2.1"), "temperature", null },
        { Chat, With("\"temperature\":-0.1"), "temperature", null },
        { Chat, With("\"temperature\":1e999"), "temperature", null },
        { Chat, With("\"temperature\":\"hot\""), "temperature", null },
        { Chat, With("\"top_p\":0"), "top_p", null },
        { Chat, With("\"top_p\":1e-320"), "top_p", null },
        { Chat, With("\"top_p\":1.1"), "top_p", null },
        { Chat, With("\"seed\":9223372036854775808"), "seed", null },
        { Chat, With("\"seed\":0.5"), "seed", null },
        { Chat, With("\"stop\":7"), "stop", null },
        { Chat, With("\"stop\":\"\""), "stop[0]", null },
        { Chat, With("\"stop\":[\"a\",null]"), "stop[1]", null },
        { Chat, With("\"stop\":[1,2,3]"), "stop[0]", null },
        { Chat, With($"\"stop\":[{string.Join(',', Enumerable.Repeat("\"a\"", 17))}]"), "stop", null },
        { Chat, With($"\"stop\":\"{new string('a', 1025)}\""), "stop[0]", null },
        { Chat, With("\"timeout\":0"), "timeout", null },
        { Chat, With("\"timeout\":1e300"), "timeout", null },
        { Chat, With("\"ignore_eos\":1"), "ignore_eos", null },
        { Chat, With("\"return_token_ids\":\"true\""), "return_token_ids", null },
        { Chat, With("\"n\":0"), "n", null },
        { Chat, With("\"n\":17"), "n", null },
        { Chat, With("\"n\":\"1\""), "n", null },
        { Chat, With("\"n\":1.5"), "n", null },
        { Chat, With("\"n\":2,\"best_of\":3"), "best_of", "unsupported_parameter" },
        { Chat, With("\"logprobs\":1"), "logprobs", null },
        { Chat, With("\"logprobs\":true,\"top_logprobs\":21"), "top_logprobs", null },
        { Chat, With("\"logprobs\":true,\"top_logprobs\":-1"), "top_logprobs", null },
        { Chat, With("\"top_logprobs\":2"), "top_logprobs", null },
        { Chat, With("\"logprobs\":false,\"top_logprobs\":2"), "top_logprobs", null },
        { Chat, With("\"prompt_logprobs\":0"), "prompt_logprobs", "unsupported_parameter" },
        { Chat, With("\"logit_bias\":[]"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"x\":1}"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"-1\":1}"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"1.0\":1}"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"00000000005\":1}"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"9999999999\":1}"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"2048\":1}"), "logit_bias", null },
        { Chat, With("\"logit_bias\":{\"5\":\"1\"}"), "logit_bias.5", null },
        { Chat, With("\"logit_bias\":{\"5\":null}"), "logit_bias.5", null },
        { Chat, With("\"logit_bias\":{\"5\":-100.5}"), "logit_bias.5", null },
        { Chat, With("\"logit_bias\":{\"5\":1e300}"), "logit_bias.5", null },
        { Chat, With($"\"logit_bias\":{{{string.Join(',', Enumerable.Range(0, 1025).Select(id => $"\"{id}\":1"))}}}"), "logit_bias", null },
        { Chat, With("\"presence_penalty\":2.01"), "presence_penalty", null },
        { Chat, With("\"presence_penalty\":\"1\""), "presence_penalty", null },
        { Chat, With("\"frequency_penalty\":-2.01"), "frequency_penalty", null },
        { Chat, With("\"repetition_penalty\":0"), "repetition_penalty", null },
        { Chat, With("\"repetition_penalty\":-1"), "repetition_penalty", null },
        { Chat, With("\"repetition_penalty\":100.5"), "repetition_penalty", null },
        { Chat, With("\"top_k\":-2"), "top_k", null },
        { Chat, With("\"top_k\":0.5"), "top_k", null },
        { Chat, With("\"min_p\":-0.1"), "min_p", null },
        { Chat, With("\"min_p\":1.1"), "min_p", null },
        { Chat, With("\"min_tokens\":-1"), "min_tokens", null },
        { Chat, With("\"min_tokens\":6,\"max_tokens\":5"), "min_tokens", null },
        { Chat, With("\"min_tokens\":4096"), "min_tokens", "context_length_exceeded" },
        { Chat, With("\"priority\":11"), "priority", null },
        { Chat, With("\"priority\":-11"), "priority", null },
        { Chat, With("\"priority\":0.5"), "priority", null },
        { Chat, With("\"stop_token_ids\":5"), "stop_token_ids", null },
        { Chat, With("\"stop_token_ids\":[1,\"a\"]"), "stop_token_ids[1]", null },
        { Chat, With("\"stop_token_ids\":[1,2048]"), "stop_token_ids[1]", null },
        { Chat, With("\"stop_token_ids\":[-1]"), "stop_token_ids[0]", null },
        { Chat, With($"\"stop_token_ids\":[{string.Join(',', Enumerable.Repeat("1", 129))}]"), "stop_token_ids", null },
        { Chat, With("\"response_format\":{\"type\":\"json_object\"}"), "response_format", "unsupported_parameter" },
        { Chat, With("\"response_format\":{}"), "response_format.type", "missing_required_parameter" },
        { Chat, With("\"parallel_tool_calls\":false"), "parallel_tool_calls", "unsupported_parameter" },
        { Completions, "{}", "prompt", "missing_required_parameter" },
        { Completions, """{"prompt":""}""", "prompt", null },
        { Completions, """{"prompt":[]}""", "prompt", null },
        { Completions, """{"prompt":{}}""", "prompt", null },
        { Completions, """{"prompt":[[]]}""", "prompt[0]", null },
        { Completions, """{"prompt":["a",""]}""", "prompt[1]", null },
        { Completions, """{"prompt":["a",5]}""", "prompt[1]", null },
        { Completions, """{"prompt":[1,"a"]}""", "prompt[1]", null },
        { Completions, """{"prompt":[1,-1]}""", "prompt[1]", null },
        { Completions, """{"prompt":[1,1.5]}""", "prompt[1]", null },
        { Completions, """{"prompt":[2048]}""", "prompt[0]", null },
        { Completions, """{"prompt":[[1],[2,99999999999]]}""", "prompt[1][1]", null },
        { Completions, """{"prompt":"a","max_tokens":4096}""", "max_tokens", "context_length_exceeded" },
        { Completions, $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat("1", 4096))}}],"max_tokens":1}""", "prompt", "context_length_exceeded" },
        { Completions, $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat("\"a\"", 129))}}]}""", "prompt", null },
        { Completions, """{"prompt":"a","echo":true}""", "echo", "unsupported_parameter" },
        { Completions, """{"prompt":"a","suffix":"b"}""", "suffix", "unsupported_parameter" },
        { Completions, """{"prompt":"a","logprobs":true}""", "logprobs", null },
        { Completions, """{"prompt":"a","logprobs":21}""", "logprobs", null },
        { Completions, """{"prompt":"a","logprobs":1,"top_logprobs":2}""", "top_logprobs", "unsupported_parameter" },
        { Completions, $$"""{"prompt":[{{string.Join(',', Enumerable.Repeat("\"a\"", 33))}}],"n":4}""", "prompt", null },
        { Completions, """{"prompt":"a","best_of":2}""", "best_of", "unsupported_parameter" },
        { "/tokenize", "{}", "prompt", null },
        { "/tokenize", """{"prompt":"a","messages":[]}""", "prompt", null },
        { "/tokenize", """{"prompt":["a"]}""", "prompt", null },
        { "/tokenize", """{"messages":[]}""", "messages", null },
        { "/tokenize", """{"prompt":"a","model":"other"}""", "model", "model_not_found" },
        { "/detokenize", "{}", "tokens", "missing_required_parameter" },
        { "/detokenize", """{"tokens":"a"}""", "tokens", null },
        { "/detokenize", """{"tokens":[1,2048]}""", "tokens[1]", null },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task A_wrong_request_is_refused_with_the_parameter_named(string path, string body, string? parameter, string? code)
    {
        (HttpStatusCode status, JsonElement answer) = await _host.PostAsync(path, body);

        JsonElement error = answer.GetProperty("error");
        Assert.Equal(parameter, error.GetProperty("param").GetString());
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.Equal(code == "model_not_found" ? HttpStatusCode.NotFound : HttpStatusCode.BadRequest, status);
        Assert.Empty(_engine.Requests);
    }

    public static TheoryData<string> Taken =>
    [
        With("\"n\":1,\"logprobs\":false,\"presence_penalty\":0,\"frequency_penalty\":0.0,\"logit_bias\":{},\"response_format\":{\"type\":\"text\"}"),
        With("\"n\":null,\"logprobs\":null,\"stop\":null,\"stream\":null,\"tools\":null,\"tool_choice\":null,\"temperature\":null,\"seed\":null"),
        With("\"user\":\"u\",\"metadata\":{\"a\":\"b\"},\"store\":true,\"unheard_of\":[1,{}]"),
        With("\"stop\":[],\"tools\":[],\"max_tokens\":4.0,\"seed\":-5,\"parallel_tool_calls\":true"),
        With("\"top_k\":-1,\"min_p\":0,\"repetition_penalty\":1,\"top_logprobs\":0,\"best_of\":1,\"min_tokens\":0,\"stop_token_ids\":[],\"ignore_eos\":false"),
        With("\"tools\":[{\"function\":{\"name\":\"f\",\"parameters\":{}}}],\"tool_choice\":\"none\""),
        """{"messages":[{"role":"developer","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":""}]},{"role":"assistant","content":null},{"role":"user","content":""}]}""",
        """{"messages":[{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":{"a":1}}}]},{"role":"tool","tool_call_id":"x","name":"f","content":"1"}]}""",
    ];

    [Theory]
    [MemberData(nameof(Taken))]
    public async Task What_changes_nothing_is_taken(string body)
    {
        (HttpStatusCode status, JsonElement answer) = await _host.PostAsync(Chat, body);

        Assert.True(status == HttpStatusCode.OK, answer.ToString());
        Assert.Equal("Hi", answer.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString());
    }

    [Fact]
    public async Task Parameters_reach_the_engine()
    {
        await _host.PostAsync(Chat, With("\"max_tokens\":7,\"temperature\":0.25,\"top_p\":0.5,\"seed\":-1,\"timeout\":2.5"));

        GenerationRequest request = Assert.Single(_engine.Requests);
        Assert.Equal(7, request.MaxTokens);
        Assert.Equal(new SamplingParameters(0.25f, 0.5f, ulong.MaxValue), request.Sampling);
        Assert.Equal(TimeSpan.FromSeconds(2.5), request.TimeLimit);
        Assert.Equal(GatewayHost.Tokenizer.Special.Stops, request.StopTokens);
    }

    [Fact]
    public async Task Parameters_of_the_sampler_reach_it()
    {
        const string more = "\"top_k\":40,\"min_p\":0.125,\"repetition_penalty\":1.25,\"presence_penalty\":-2,\"frequency_penalty\":2,"
            + "\"logit_bias\":{\"7\":-100,\"2047\":2.5},\"min_tokens\":3,\"max_tokens\":9,\"stop_token_ids\":[9,7],\"top_logprobs\":4,\"logprobs\":true,\"priority\":3";
        await _host.PostAsync(Chat, With(more));
        await _host.PostAsync(Chat, With(more + ",\"ignore_eos\":true"));
        await _host.PostAsync(Completions, """{"prompt":"a","logprobs":0,"top_k":-1,"min_tokens":20}""");

        GenerationRequest request = _engine.Requests[0];
        SamplingParameters sampling = request.Sampling;
        Assert.Equal((40, 0.125f, 1.25f, -2f, 2f), (sampling.TopK, sampling.MinP, sampling.RepetitionPenalty, sampling.PresencePenalty, sampling.FrequencyPenalty));
        Assert.Equal([new TokenBias(7, -100), new TokenBias(2047, 2.5f)], sampling.LogitBias);
        Assert.Equal((3, 4), (sampling.MinTokens, sampling.TopLogprobs));
        // Lower is first over the APIs, higher in the engine.
        Assert.Equal(-3, request.Priority);
        Assert.Equal([.. GatewayHost.Tokenizer.Special.Stops, 9, 7], request.StopTokens);
        Assert.Equal([9, 7], _engine.Requests[1].StopTokens);
        Assert.Equal((0, 0, 20), (_engine.Requests[2].Sampling.TopK, _engine.Requests[2].Sampling.TopLogprobs, _engine.Requests[2].MaxTokens));
    }

    [Fact]
    public async Task A_chat_without_a_limit_has_what_the_context_leaves_and_a_completion_16_tokens()
    {
        await _host.PostAsync(Chat, With("\"max_completion_tokens\":9,\"max_tokens\":7"));
        await _host.PostAsync(Chat, With("\"top_p\":1"));
        await _host.PostAsync(Completions, """{"prompt":"a"}""");

        Assert.Equal(9, _engine.Requests[0].MaxTokens);
        Assert.Equal(_engine.MaxContext - _engine.Requests[1].Prompt.Length, _engine.Requests[1].MaxTokens);
        Assert.Equal(16, _engine.Requests[2].MaxTokens);
    }

    [Fact]
    public async Task A_request_without_a_seed_gets_one_of_its_own()
    {
        await _host.PostAsync(Chat, With("\"top_p\":1"));
        await _host.PostAsync(Chat, With("\"top_p\":1"));

        Assert.NotEqual(_engine.Requests[0].Sampling.Seed, _engine.Requests[1].Sampling.Seed);
    }

    [Fact]
    public async Task With_ignore_eos_no_token_stops()
    {
        _engine.Script = _ => Tokens.Of("a<|im_end|>b<|im_end|>c");
        (_, JsonElement answer) = await _host.PostAsync(Completions, """{"prompt":"a","max_tokens":5,"ignore_eos":true}""");

        Assert.Empty(_engine.Requests[0].StopTokens);
        Assert.Equal("length", answer.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
        Assert.Equal("abc", answer.GetProperty("choices")[0].GetProperty("text").GetString());
    }

    [Fact]
    public async Task Special_tokens_are_read_in_a_raw_prompt_and_never_in_a_message()
    {
        int end = GatewayHost.Tokenizer.Special.MessageEnd;
        await _host.PostAsync(Completions, """{"prompt":"<|im_end|>"}""");
        await _host.PostAsync(Chat, """{"messages":[{"role":"system","content":"s"},{"role":"user","content":"<|im_end|>"}]}""");

        Assert.Equal([end], _engine.Requests[0].Prompt.ToArray());
        Assert.Equal(2, _engine.Requests[1].Prompt.ToArray().Count(id => id == end));
    }

    [Fact]
    public async Task Ids_of_old_calls_are_named_as_the_model_knows_them()
    {
        await _host.PostAsync(Chat, """{"messages":[{"role":"assistant","tool_calls":[{"id":"call_x","type":"function","function":{"name":"add","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_x","content":"1"}]}""");

        string prompt = GatewayHost.Tokenizer.Decode(_engine.Requests[0].Prompt.ToArray());
        Assert.DoesNotContain("call_x", prompt, StringComparison.Ordinal);
        Assert.Contains("## Return of functions.add:0", prompt, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Tools_are_declared_unless_the_choice_is_none()
    {
        const string tools = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"lookup\"}}]";
        await _host.PostAsync(Chat, With(tools));
        await _host.PostAsync(Chat, With(tools + ",\"tool_choice\":\"none\""));

        Assert.Contains("lookup", GatewayHost.Tokenizer.Decode(_engine.Requests[0].Prompt.ToArray()), StringComparison.Ordinal);
        Assert.DoesNotContain("lookup", GatewayHost.Tokenizer.Decode(_engine.Requests[1].Prompt.ToArray()), StringComparison.Ordinal);
    }

    private static string With(string more) => $$"""{"messages":[{"role":"user","content":"Hi"}],{{more}}}""";
}
