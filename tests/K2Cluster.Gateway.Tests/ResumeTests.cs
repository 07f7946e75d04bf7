using Google.Protobuf;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Gateway.Tests;

/// <summary>An answer that was cut off at any token goes on, on a gateway that knows nothing of it, with the same events.</summary>
public sealed class ResumeTests
{
    // Characters of several tokens, reasoning, two calls, one without arguments, and what begins like a stop string.
    private const string Message =
        "<think>Ü 漢字: END? No.</think>Sure 🦆, EN"
        + "<|tool_calls_section_begin|><|tool_call_begin|>functions.add:0<|tool_call_argument_begin|> {\"a\": \"é🦆\"}<|tool_call_end|>"
        + "<|tool_call_begin|>functions.now<|tool_call_argument_begin|><|tool_call_end|><|tool_calls_section_end|>";

    [Theory]
    [InlineData(ToolChoice.Unspecified, 500, "")]
    [InlineData(ToolChoice.None, 500, "")]
    [InlineData(ToolChoice.Unspecified, 30, "")]
    [InlineData(ToolChoice.Unspecified, 500, "ENDS")]
    [InlineData(ToolChoice.Unspecified, 500, "🦆, E")]
    public async Task A_message_goes_on_wherever_it_was_cut(ToolChoice tools, uint maxTokens, string stop)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying(Message));
        ChatRequest request = new()
        {
            Conversation = new Conversation
            {
                Messages =
                {
                    new ChatMessage { Role = "user", Content = "Hi" },
                    new ChatMessage { Role = "assistant", ToolCalls = { new ToolCall { Id = "functions.now:0", Name = "now" } } },
                    new ChatMessage { Role = "tool", ToolCallId = "functions.now:0", Content = "12" },
                },
                ToolChoice = tools,
            },
            Options = new GenerationOptions { Seed = 5, MaxTokens = maxTokens, ReturnTokenIds = true, Logprobs = 2 },
        };
        if (stop.Length > 0)
            request.Options.Stop.Add(stop);
        Inference.InferenceClient client = new(host.Channel);
        List<ChatEvent> whole = await ReadAsync(client.Chat(request).ResponseStream);

        for (int cut = 0; cut < whole.Sum(item => item.TokenIds.Count); cut++)
        {
            ChatRequest rest = request.Clone();
            rest.Generated = new TokenIds { Ids = { whole.SelectMany(item => item.TokenIds).Take(cut) } };
            List<ChatEvent> resumed = await ReadAsync(client.Chat(rest).ResponseStream);

            Assert.Equal(whole[0].Started.PromptTokens, resumed[0].Started.PromptTokens);
            Assert.Equal(After(whole, cut, item => item.TokenIds.Count), resumed[1..]);
        }
    }

    [Theory]
    [InlineData(0, "two")]
    [InlineData(9, "two")]
    [InlineData(0, "no such")]
    public async Task A_text_goes_on_wherever_it_was_cut(uint minTokens, string stop)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("one 🦆 two <|im_user|>three two twwo 漢字 two"));
        GenerateRequest request = new()
        {
            Text = "x",
            Options = new GenerationOptions { Seed = 5, MaxTokens = 50, Stop = { stop }, MinTokens = minTokens, ReturnTokenIds = true, Logprobs = 0 },
        };
        Inference.InferenceClient client = new(host.Channel);
        List<GenerateEvent> whole = await ReadAsync(client.Generate(request).ResponseStream);

        uint[] ids = [.. whole.SelectMany(item => item.TokenIds)];
        for (int cut = 0; cut < ids.Length; cut++)
        {
            GenerateRequest rest = request.Clone();
            rest.Generated = new TokenIds { Ids = { ids[..cut] } };
            List<GenerateEvent> resumed = await ReadAsync(client.Generate(rest).ResponseStream);
            Assert.Equal(After(whole, cut, item => item.TokenIds.Count), resumed[1..]);
        }

        GenerateRequest all = request.Clone();
        all.Generated = new TokenIds { Ids = { ids } };
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => ReadAsync(client.Generate(all).ResponseStream));
        Assert.Equal(StatusCode.InvalidArgument, refused.StatusCode);
        Assert.Contains("Leave out the last token", refused.Status.Detail, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_several_answers_one_goes_on_as_itself()
    {
        MadeUpEngine engine = new() { Script = request => Enumerable.Range(0, 9).Select(i => 100 + (20 * request.Choice) + i) };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        GenerateRequest request = new() { Text = "x", Options = new GenerationOptions { Seed = 5, MaxTokens = 8, N = 3, ReturnTokenIds = true } };
        Inference.InferenceClient client = new(host.Channel);
        List<GenerateEvent> whole = [.. (await ReadAsync(client.Generate(request).ResponseStream)).Where(item => item.Choice == 2)];

        GenerateRequest rest = request.Clone();
        (rest.Generated, rest.Choice) = (new TokenIds { Ids = { 140, 141, 142 } }, 2);
        List<GenerateEvent> resumed = await ReadAsync(client.Generate(rest).ResponseStream);
        Assert.Equal(After(whole, 3, item => item.TokenIds.Count), resumed[1..]);
        Assert.Equal(0u, resumed[^1].Finished.Usage.PromptTokens);
    }

    [Fact]
    public async Task Before_its_first_token_an_answer_begins_with_the_seed_that_was_told()
    {
        MadeUpEngine engine = new();
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        GenerateRequest request = new() { Text = "x", Options = new GenerationOptions { MaxTokens = 8, ReturnTokenIds = true } };
        Inference.InferenceClient client = new(host.Channel);
        List<GenerateEvent> whole = await ReadAsync(client.Generate(request).ResponseStream);

        request.Options.Seed = whole[0].Started.Seed;
        request.Generated = new TokenIds();
        Assert.Equal(whole[1..], (await ReadAsync(client.Generate(request).ResponseStream))[1..]);
    }

    /// <summary>The events of the tokens after the first <paramref name="tokens"/>.</summary>
    private static List<T> After<T>(List<T> events, int tokens, Func<T, int> count)
    {
        int left = tokens + 1;
        return events[events.FindIndex(item => (left -= count(item)) <= 0)..];
    }

    private static async Task<List<T>> ReadAsync<T>(IAsyncStreamReader<T> stream)
        where T : IMessage<T>
    {
        List<T> events = [];
        await foreach (T item in stream.ReadAllAsync())
            events.Add(item);
        return events;
    }
}
