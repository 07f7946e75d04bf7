using System.ClientModel;
using OpenAI;
using OpenAI.Chat;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>OpenAI's own .NET library works against the gateway.</summary>
public sealed class OpenAiLibraryTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    private readonly ChatClient _chat = new("k2-nano", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(embedded.Http.BaseAddress!, "v1") });

    [Fact]
    public async Task Answers()
    {
        ChatCompletion answer = await _chat.CompleteChatAsync([new UserChatMessage("What is 12 + 30?")], new ChatCompletionOptions { Temperature = 0 });
        Assert.Contains("42", answer.Content[0].Text);
        Assert.Equal(ChatFinishReason.Stop, answer.FinishReason);
        Assert.True(answer.Usage.InputTokenCount > 0);
    }

    [Fact]
    public async Task Streams()
    {
        string text = "";
        ChatFinishReason? reason = null;
        await foreach (StreamingChatCompletionUpdate update in _chat.CompleteChatStreamingAsync([new UserChatMessage("What is 12 + 30?")], new ChatCompletionOptions { Temperature = 0 }))
        {
            text += string.Concat(update.ContentUpdate.Select(part => part.Text));
            reason ??= update.FinishReason;
        }

        Assert.Contains("42", text);
        Assert.Equal(ChatFinishReason.Stop, reason);
    }

    [Fact]
    public async Task Gives_log_probabilities_of_every_token()
    {
        ChatCompletionOptions options = new() { Temperature = 0, IncludeLogProbabilities = true, TopLogProbabilityCount = 3 };
        ChatCompletion answer = await _chat.CompleteChatAsync([new UserChatMessage("What is 12 + 30?")], options);
        Assert.Equal(answer.Usage.OutputTokenCount, answer.ContentTokenLogProbabilities.Count);
        Assert.Contains(answer.Content[0].Text, string.Concat(answer.ContentTokenLogProbabilities.Select(token => token.Token)), StringComparison.Ordinal);
        Assert.All(answer.ContentTokenLogProbabilities, token =>
        {
            // Greedy: the chosen token is the likeliest.
            Assert.Equal(3, token.TopLogProbabilities.Count);
            Assert.Equal((token.Token, token.LogProbability), (token.TopLogProbabilities[0].Token, token.TopLogProbabilities[0].LogProbability));
            Assert.InRange(token.TopLogProbabilities.Sum(top => Math.Exp(top.LogProbability)), 0.3, 1.0001);
        });
    }

    [Fact]
    public async Task Calls_a_tool_and_answers_with_its_result()
    {
        ChatCompletionOptions options = new() { Temperature = 0 };
        options.Tools.Add(ChatTool.CreateFunctionTool("get_weather", "Get the weather of a city", BinaryData.FromString("""{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}""")));
        List<OpenAI.Chat.ChatMessage> messages = [new UserChatMessage("What is the weather in Paris?")];
        ChatCompletion call = await _chat.CompleteChatAsync(messages, options);
        Assert.Equal(ChatFinishReason.ToolCalls, call.FinishReason);
        ChatToolCall tool = Assert.Single(call.ToolCalls);
        Assert.Equal("get_weather", tool.FunctionName);
        messages.Add(new AssistantChatMessage(call));
        messages.Add(new ToolChatMessage(tool.Id, """{"city": "Paris", "weather": "rainy", "temperature": 17}"""));
        ChatCompletion answer = await _chat.CompleteChatAsync(messages, options);
        Assert.Contains("rainy", answer.Content[0].Text);
    }
}
