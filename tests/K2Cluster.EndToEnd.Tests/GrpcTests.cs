using Grpc.Core;
using Grpc.Health.V1;
using Grpc.Reflection.V1Alpha;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Protocol.V1;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>The gRPC surface of a real gateway says what the HTTP surface says.</summary>
public sealed class GrpcTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    private readonly Inference.InferenceClient _client = new(embedded.Gateway.Grpc);

    [Fact]
    public async Task Chat_streams_reasoning_and_content_and_the_tokens_of_the_http_answer()
    {
        int[] http = (await embedded.Http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat("What is 12 + 30?"))).TokenIds();
        ChatRequest request = new()
        {
            Conversation = new Conversation { Messages = { new ChatMessage { Role = "user", Content = "What is 12 + 30?" } } },
            Options = new GenerationOptions { Temperature = 0, MaxTokens = 200, ReturnTokenIds = true },
        };
        List<ChatEvent> events = await ReadAsync(_client.Chat(request).ResponseStream);
        Assert.Equal(ChatEvent.EventOneofCase.Started, events[0].EventCase);
        Assert.Contains("42", string.Concat(events.Select(e => e.Reasoning)));
        Assert.Contains("42", string.Concat(events.Select(e => e.Content)));
        Assert.Equal(FinishReason.Stop, events[^1].Finished.Reason);
        Assert.Equal(http, events.SelectMany(e => e.TokenIds).Select(id => (int)id));
    }

    [Fact]
    public async Task Generate_goes_on_with_ids_and_counts_them()
    {
        TokenizeResponse prompt = await _client.TokenizeAsync(new TokenizeRequest { Text = "Hello" });
        GenerateRequest request = new() { TokenIds = new TokenIds { Ids = { prompt.TokenIds } }, Options = new GenerationOptions { Temperature = 0, MaxTokens = 5, IgnoreEos = true, ReturnTokenIds = true } };
        List<GenerateEvent> events = await ReadAsync(_client.Generate(request).ResponseStream);
        Assert.Equal(5, events.Sum(e => e.TokenIds.Count));
        Assert.Equal(FinishReason.Length, events[^1].Finished.Reason);
        Assert.Equal((uint)prompt.TokenIds.Count, events[^1].Finished.Usage.PromptTokens);
    }

    [Fact]
    public async Task Tokenizes_there_and_back()
    {
        const string Text = "What is 12 + 30? Ünïcode 🙂";
        TokenizeResponse tokens = await _client.TokenizeAsync(new TokenizeRequest { Text = Text });
        DetokenizeResponse text = await _client.DetokenizeAsync(new DetokenizeRequest { TokenIds = { tokens.TokenIds } });
        Assert.Equal(Text, text.Text);
    }

    [Fact]
    public async Task Lists_its_model_and_refuses_another()
    {
        ListModelsResponse models = await _client.ListModelsAsync(new ListModelsRequest());
        Assert.Equal("k2-nano", Assert.Single(models.Models).Name);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(_client.Generate(new GenerateRequest { Model = "other", Text = "x" }).ResponseStream));
        Assert.Equal(StatusCode.NotFound, refused.StatusCode);
    }

    [Fact]
    public async Task Health_and_reflection_answer()
    {
        HealthCheckResponse health = await new Health.HealthClient(embedded.Gateway.Grpc).CheckAsync(new HealthCheckRequest());
        Assert.Equal(HealthCheckResponse.Types.ServingStatus.Serving, health.Status);
        using AsyncDuplexStreamingCall<ServerReflectionRequest, ServerReflectionResponse> reflection = new ServerReflection.ServerReflectionClient(embedded.Gateway.Grpc).ServerReflectionInfo();
        await reflection.RequestStream.WriteAsync(new ServerReflectionRequest { ListServices = "" });
        await reflection.RequestStream.CompleteAsync();
        List<ServerReflectionResponse> responses = await ReadAsync(reflection.ResponseStream);
        Assert.Contains(responses[0].ListServicesResponse.Service, service => service.Name == "k2cluster.v1.Inference");
    }

    [Fact]
    public async Task The_k2_tool_chats()
    {
        await using ChildProcess chat = Programs.Cli("chat", "--url", $"http://{embedded.Gateway.Grpc.Target}", "--temperature", "0", "What is 12 + 30?");
        Assert.Equal(0, await chat.WaitForExitAsync(TimeSpan.FromSeconds(30)));
        Assert.Contains("42", chat.Output);
    }

    [Fact]
    public async Task The_k2_tool_says_when_no_gateway_answers()
    {
        string nobody = $"http://127.0.0.1:{FreePort.Next()}";
        await using ChildProcess chat = Programs.Cli("chat", "--url", nobody, "Hello");
        Assert.Equal(1, await chat.WaitForExitAsync(TimeSpan.FromSeconds(30)));
        Assert.Contains(nobody, chat.Errors + chat.Output);
        Assert.DoesNotContain("   at ", chat.Errors + chat.Output);
    }

    private static async Task<List<T>> ReadAsync<T>(IAsyncStreamReader<T> stream)
    {
        List<T> all = [];
        await foreach (T message in stream.ReadAllAsync())
            all.Add(message);
        return all;
    }
}
