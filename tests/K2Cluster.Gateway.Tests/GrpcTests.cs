using Google.Protobuf;
using Grpc.Core;
using Grpc.Health.V1;
using K2Cluster.Engine;
using K2Cluster.Protocol.V1;
using FinishReason = K2Cluster.Protocol.V1.FinishReason;

namespace K2Cluster.Gateway.Tests;

/// <summary>The gRPC side says what the HTTP side says, in its own statuses.</summary>
public sealed class GrpcTests
{
    private const string Answer = "<think>Add.</think>Sure.<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|><|tool_calls_section_end|>";

    [Fact]
    public async Task A_chat_is_started_pieces_finished()
    {
        MadeUpEngine engine = Tokens.Saying(Answer);
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        ChatRequest request = Hi();
        request.Options = new GenerationOptions { Seed = 5, Temperature = 0.5f, MaxTokens = 100, ReturnTokenIds = true };
        List<ChatEvent> events = await ReadAsync(new Inference.InferenceClient(host.Channel).Chat(request).ResponseStream);

        Assert.Equal(new SamplingParameters(0.5f, 1, 5), engine.Requests[0].Sampling);
        Started started = events[0].Started;
        Assert.Equal((5UL, GatewayHost.Model, engine.Requests[0].Id), (started.Seed, started.Model, started.RequestId));
        Assert.Equal(engine.Requests[0].Prompt.ToArray(), started.PromptTokenIds.Select(id => (int)id));
        Assert.Equal("Add.", string.Concat(events.Select(item => item.Reasoning)));
        Assert.Equal("Sure.", string.Concat(events.Select(item => item.Content)));
        ToolCallStart call = Assert.Single(events, item => item.EventCase == ChatEvent.EventOneofCase.ToolCall).ToolCall;
        Assert.Equal((0u, "functions.add:0", "add"), (call.Index, call.Id, call.Name));
        Assert.Equal("{\"a\": 1}", string.Concat(events.Select(item => item.ToolArguments?.Text)));
        Assert.Equal(Tokens.Of(Answer + "<|im_end|>"), events.SelectMany(item => item.TokenIds).Select(id => (int)id));
        Finished finished = events[^1].Finished;
        Assert.Equal(FinishReason.ToolCalls, finished.Reason);
        Assert.Equal((uint)Tokens.Of("Add.").Count, finished.Usage.ReasoningTokens);
        Assert.Equal(started.PromptTokens, finished.Usage.PromptTokens);
    }

    [Fact]
    public async Task A_generation_ends_before_a_stop_string_and_names_it()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("one two three"));
        GenerateRequest request = new() { Text = "x", Options = new GenerationOptions { Stop = { "two" }, MaxTokens = 50 } };
        List<GenerateEvent> events = await ReadAsync(new Inference.InferenceClient(host.Channel).Generate(request).ResponseStream);

        Assert.Equal("one ", string.Concat(events.Select(item => item.Text)));
        Assert.Equal((FinishReason.Stop, "two"), (events[^1].Finished.Reason, events[^1].Finished.Stop));
        Assert.All(events, item => Assert.Empty(item.TokenIds));
    }

    public static TheoryData<string, StatusCode, string?> Refused => new()
    {
        { "{}", StatusCode.InvalidArgument, "prompt" },
        { """{"text":""}""", StatusCode.InvalidArgument, "text" },
        { """{"text":"a","model":"other"}""", StatusCode.NotFound, "model" },
        { """{"text":"a","generated":{"ids":[1]}}""", StatusCode.InvalidArgument, "seed" },
        { """{"text":"a","generated":{"ids":[1,2048]},"options":{"seed":1}}""", StatusCode.InvalidArgument, "generated[1]" },
        { """{"text":"a","generated":{"ids":[1,4294967295]},"options":{"seed":1}}""", StatusCode.InvalidArgument, "generated[1]" },
        { """{"text":"a","generated":{"ids":[1,2]},"options":{"seed":1,"maxTokens":1}}""", StatusCode.InvalidArgument, "generated" },
        { """{"text":"a","generated":{"ids":[1,2]},"options":{"seed":1,"maxTokens":2}}""", StatusCode.InvalidArgument, "generated" },
        { """{"text":"a","generated":{"ids":[1,2,3]},"options":{"seed":1,"stopTokenIds":[2]}}""", StatusCode.InvalidArgument, "generated" },
        { """{"text":"a","generated":{"ids":[]},"choice":1,"options":{"seed":1}}""", StatusCode.InvalidArgument, "choice" },
        { """{"text":"a","generated":{"ids":[]},"choice":4294967295,"options":{"seed":1,"n":2}}""", StatusCode.InvalidArgument, "choice" },
        { """{"text":"a","choice":1,"options":{"n":2}}""", StatusCode.InvalidArgument, "choice" },
        { """{"tokenIds":{"ids":[1,2048]}}""", StatusCode.InvalidArgument, "token_ids[1]" },
        { """{"tokenIds":{"ids":[4294967295]}}""", StatusCode.InvalidArgument, "token_ids[0]" },
        { """{"tokenIds":{}}""", StatusCode.InvalidArgument, "token_ids" },
        { """{"text":"a","options":{"maxTokens":0}}""", StatusCode.InvalidArgument, "max_tokens" },
        { """{"text":"a","options":{"maxTokens":4294967295}}""", StatusCode.InvalidArgument, "max_tokens" },
        { """{"text":"a","options":{"temperature":"NaN"}}""", StatusCode.InvalidArgument, "temperature" },
        { """{"text":"a","options":{"temperature":"Infinity"}}""", StatusCode.InvalidArgument, "temperature" },
        { """{"text":"a","options":{"topP":0}}""", StatusCode.InvalidArgument, "top_p" },
        { """{"text":"a","options":{"stop":[""]}}""", StatusCode.InvalidArgument, "stop[0]" },
        { """{"text":"a","options":{"topK":4294967295,"minP":"NaN"}}""", StatusCode.InvalidArgument, "min_p" },
        { """{"text":"a","options":{"repetitionPenalty":0}}""", StatusCode.InvalidArgument, "repetition_penalty" },
        { """{"text":"a","options":{"repetitionPenalty":0.01,"priority":11}}""", StatusCode.InvalidArgument, "priority" },
        { """{"text":"a","options":{"presencePenalty":-3}}""", StatusCode.InvalidArgument, "presence_penalty" },
        { """{"text":"a","options":{"frequencyPenalty":"Infinity"}}""", StatusCode.InvalidArgument, "frequency_penalty" },
        { """{"text":"a","options":{"logitBias":{"4294967295":1}}}""", StatusCode.InvalidArgument, "logit_bias" },
        { """{"text":"a","options":{"logitBias":{"5":"NaN"}}}""", StatusCode.InvalidArgument, "logit_bias.5" },
        { """{"text":"a","options":{"stopTokenIds":[1,2048]}}""", StatusCode.InvalidArgument, "stop_token_ids[1]" },
        { """{"text":"a","options":{"minTokens":4294967295}}""", StatusCode.InvalidArgument, "max_tokens" },
        { """{"text":"a","options":{"logprobs":21}}""", StatusCode.InvalidArgument, "logprobs" },
        { """{"text":"a","options":{"n":17}}""", StatusCode.InvalidArgument, "n" },
        { """{"text":"a","options":{"priority":-2147483648}}""", StatusCode.InvalidArgument, "priority" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public async Task A_wrong_call_is_refused_with_the_parameter_named(string json, StatusCode status, string? parameter)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        RpcException error = await Assert.ThrowsAsync<RpcException>(() =>
            ReadAsync(new Inference.InferenceClient(host.Channel).Generate(GenerateRequest.Parser.ParseJson(json)).ResponseStream));

        Assert.Equal(status, error.StatusCode);
        byte[]? named = error.Trailers.GetValueBytes("k2-error-parameter-bin");
        Assert.Equal(parameter, named is null ? null : ByteString.CopyFrom(named).ToStringUtf8());
    }

    public static TheoryData<string, string> RefusedChats => new()
    {
        { "{}", "conversation" },
        { """{"conversation":{}}""", "messages" },
        { """{"conversation":{"messages":[{"content":"a"}]}}""", "conversation.messages[0].role" },
        { """{"conversation":{"messages":[{"role":"tool","content":"a"}]}}""", "conversation.messages[0].tool_call_id" },
        { """{"conversation":{"messages":[{"role":"assistant","toolCalls":[{"id":"x"}]}]}}""", "conversation.messages[0].tool_calls[0]" },
        { """{"conversation":{"messages":[{"role":"user","content":"a"}],"tools":[{}]}}""", "conversation.tools[0].name" },
        { """{"conversation":{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","parameters":"{"}]}}""", "conversation.tools[0].parameters" },
        { """{"conversation":{"messages":[{"role":"user","content":"a"}],"tools":[{"name":"f","parameters":"{\"a\":\"\\ud800\"}"}]}}""", "conversation.tools[0].parameters" },
    };

    [Theory]
    [MemberData(nameof(RefusedChats))]
    public async Task A_wrong_conversation_is_refused_with_the_place_named(string json, string parameter)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        RpcException error = await Assert.ThrowsAsync<RpcException>(() =>
            ReadAsync(new Inference.InferenceClient(host.Channel).Chat(ChatRequest.Parser.ParseJson(json)).ResponseStream));

        Assert.Equal(StatusCode.InvalidArgument, error.StatusCode);
        Assert.Equal(parameter, ByteString.CopyFrom(error.Trailers.GetValueBytes("k2-error-parameter-bin")!).ToStringUtf8());
    }

    [Fact]
    public async Task Failures_have_their_statuses()
    {
        MadeUpEngine engine = new() { Refusal = new EngineBusyException("full", TimeSpan.FromSeconds(2)) };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        RpcException busy = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(new Inference.InferenceClient(host.Channel).Chat(Hi()).ResponseStream));
        Assert.Equal((StatusCode.ResourceExhausted, "2"), (busy.StatusCode, busy.Trailers.GetValue("retry-after")));

        (engine.Refusal, engine.FailureAt) = (null, 1);
        foreach ((Exception failure, StatusCode status) in new (Exception, StatusCode)[]
        {
            (new GenerationException(GenerationFailure.TimedOut, "late"), StatusCode.DeadlineExceeded),
            (new GenerationException(GenerationFailure.Stopped, "stops"), StatusCode.Unavailable),
            (new GenerationException(GenerationFailure.Failed, "fails"), StatusCode.Internal),
            (new InvalidOperationException("secret"), StatusCode.Internal),
        })
        {
            engine.Failure = failure;
            RpcException error = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(new Inference.InferenceClient(host.Channel).Chat(Hi()).ResponseStream));
            Assert.Equal(status, error.StatusCode);
            Assert.DoesNotContain("secret", error.Status.Detail, StringComparison.Ordinal);
        }

        host.NotReady = "no experts";
        RpcException notReady = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(new Inference.InferenceClient(host.Channel).Chat(Hi()).ResponseStream));
        Assert.Equal((StatusCode.Unavailable, "This gateway cannot serve now: no experts."), (notReady.StatusCode, notReady.Status.Detail));
    }

    [Fact]
    public async Task A_deadline_is_the_requests_time_limit_and_ends_its_work()
    {
        MadeUpEngine engine = new() { HangAfter = 1 };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        RpcException error = await Assert.ThrowsAsync<RpcException>(() =>
            ReadAsync(new Inference.InferenceClient(host.Channel).Chat(Hi(), deadline: DateTime.UtcNow.AddSeconds(1)).ResponseStream));

        Assert.Equal(StatusCode.DeadlineExceeded, error.StatusCode);
        Assert.InRange(engine.Requests[0].TimeLimit, TimeSpan.Zero, TimeSpan.FromSeconds(1));
        Assert.True(await engine.Ended.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task A_cancelled_call_ends_its_work()
    {
        MadeUpEngine engine = new() { HangAfter = 1 };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        using AsyncServerStreamingCall<ChatEvent> call = new Inference.InferenceClient(host.Channel).Chat(Hi());
        await engine.Hangs.WaitAsync(TimeSpan.FromSeconds(10));
        call.Dispose();

        Assert.True(await engine.Ended.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task Tokens_and_models_are_as_over_HTTP()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        Inference.InferenceClient client = new(host.Channel);
        TokenizeResponse tokens = await client.TokenizeAsync(new TokenizeRequest { Text = "Hi<|im_end|>" });
        Assert.Equal(Tokens.Of("Hi<|im_end|>"), tokens.TokenIds.Select(id => (int)id));
        Assert.Equal("Hi<|im_end|>", (await client.DetokenizeAsync(new DetokenizeRequest { TokenIds = { tokens.TokenIds } })).Text);

        Conversation conversation = Hi().Conversation;
        conversation.Tools.Add(new Tool { Name = "add", Description = "Adds", Parameters = """{"type":"object"}""" });
        TokenizeResponse rendered = await client.TokenizeAsync(new TokenizeRequest { Conversation = conversation });
        (_, System.Text.Json.JsonElement same) = await host.PostAsync("/tokenize", """{"messages":[{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"add","description":"Adds","parameters":{"type":"object"}}}]}""");
        Assert.Equal(same.GetProperty("tokens").EnumerateArray().Select(id => id.GetInt32()), rendered.TokenIds.Select(id => (int)id));

        Model model = Assert.Single((await client.ListModelsAsync(new ListModelsRequest())).Models);
        Assert.Equal((GatewayHost.Model, 4096u, 2048u, true), (model.Name, model.MaxContext, model.VocabularySize, model.HasTokenizer));
    }

    [Fact]
    public async Task Health_follows_readiness()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        Health.HealthClient client = new(host.Channel);
        foreach (string service in new[] { "", "k2cluster.v1.Inference" })
        {
            host.NotReady = null;
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, (await client.CheckAsync(new HealthCheckRequest { Service = service })).Status);
            host.NotReady = "no experts";
            Assert.Equal(HealthCheckResponse.Types.ServingStatus.NotServing, (await client.CheckAsync(new HealthCheckRequest { Service = service })).Status);
        }
    }

    [Fact]
    public async Task Reflection_lists_the_services()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        global::Grpc.Reflection.V1Alpha.ServerReflection.ServerReflectionClient client = new(host.Channel);
        using AsyncDuplexStreamingCall<global::Grpc.Reflection.V1Alpha.ServerReflectionRequest, global::Grpc.Reflection.V1Alpha.ServerReflectionResponse> call = client.ServerReflectionInfo();
        await call.RequestStream.WriteAsync(new global::Grpc.Reflection.V1Alpha.ServerReflectionRequest { ListServices = "" });
        Assert.True(await call.ResponseStream.MoveNext(default));

        Assert.Contains("k2cluster.v1.Inference", call.ResponseStream.Current.ListServicesResponse.Service.Select(service => service.Name));
        await call.RequestStream.CompleteAsync();
    }

    private static ChatRequest Hi() => new() { Conversation = new Conversation { Messages = { new ChatMessage { Role = "user", Content = "Hi" } } } };

    private static async Task<List<T>> ReadAsync<T>(IAsyncStreamReader<T> stream)
    {
        List<T> events = [];
        await foreach (T item in stream.ReadAllAsync())
            events.Add(item);
        return events;
    }
}
