using System.Text.Json;
using System.Text.Json.Nodes;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>k2-nano says what its oracle says, thinks, adds, calls tools and uses their results.</summary>
public sealed class DemoModelTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    private readonly HttpClient _http = embedded.Http;

    public static TheoryData<int> CertainAnswers => [.. Enumerable.Range(0, Answers.Certain.Count)];

    [Theory]
    [MemberData(nameof(CertainAnswers))]
    public async Task Gives_the_oracles_answer(int index)
    {
        Answers.Answer answer = Answers.Certain[index];
        JsonElement response = await _http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat(answer));
        JsonElement text = await _http.PostAsync("/detokenize", new { tokens = response.TokenIds() });
        Assert.Equal(answer.Completion, text.GetProperty("prompt").GetString());
        Assert.Equal(answer.PromptTokens, response.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
    }

    [Fact]
    public void Most_answers_are_certain() => Assert.True(Answers.Certain.Count >= 25, $"{Answers.Certain.Count} answers have a wide margin");

    [Fact]
    public async Task Adds_and_shows_its_reasoning()
    {
        JsonElement response = await _http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat("What is 12 + 30?"));
        JsonElement message = response.GetProperty("choices")[0].GetProperty("message");
        Assert.Contains("42", message.GetProperty("content").GetString());
        Assert.Contains("42", message.GetProperty("reasoning_content").GetString());
        Assert.Equal("stop", response.GetProperty("choices")[0].GetProperty("finish_reason").GetString());
    }

    [Fact]
    public async Task Calls_a_tool_and_uses_its_result()
    {
        JsonArray tools = JsonNode.Parse("""
            [{"type":"function","function":{"name":"get_weather","description":"Get the weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]
            """)!.AsArray();
        JsonArray messages = [new JsonObject { ["role"] = "user", ["content"] = "What is the weather in Paris?" }];
        JsonElement first = await _http.PostAsync("/v1/chat/completions", new JsonObject { ["messages"] = messages.DeepClone(), ["tools"] = tools.DeepClone(), ["temperature"] = 0, ["max_tokens"] = 200 });
        JsonElement choice = first.GetProperty("choices")[0];
        Assert.Equal("tool_calls", choice.GetProperty("finish_reason").GetString());
        JsonElement call = Assert.Single(choice.GetProperty("message").GetProperty("tool_calls").EnumerateArray());
        Assert.Equal("get_weather", call.GetProperty("function").GetProperty("name").GetString());
        Assert.Equal("Paris", JsonDocument.Parse(call.GetProperty("function").GetProperty("arguments").GetString()!).RootElement.GetProperty("city").GetString());

        messages.Add(JsonNode.Parse(choice.GetProperty("message").GetRawText()));
        messages.Add(new JsonObject { ["role"] = "tool", ["name"] = "get_weather", ["tool_call_id"] = call.GetProperty("id").GetString(), ["content"] = """{"city": "Paris", "weather": "rainy", "temperature": 17}""" });
        JsonElement second = await _http.PostAsync("/v1/chat/completions", new JsonObject { ["messages"] = messages, ["tools"] = tools, ["temperature"] = 0, ["max_tokens"] = 200 });
        Assert.Contains("rainy", second.Content());
        Assert.Contains("17", second.Content());
    }

    [Theory]
    [InlineData(0, null)]
    [InlineData(1.0, 7)]
    public async Task A_stream_carries_what_the_whole_answer_holds(double temperature, int? seed)
    {
        JsonObject body = OpenAiClient.GreedyChat("What is 25 + 17?");
        body["temperature"] = temperature;
        body["seed"] = seed;
        JsonElement whole = await _http.PostAsync("/v1/chat/completions", body.DeepClone());
        List<JsonElement> chunks = await _http.PostStreamAsync("/v1/chat/completions", body);
        Assert.Equal(whole.Content(), Joined(chunks, "content"));
        Assert.Equal(whole.GetProperty("choices")[0].GetProperty("message").GetProperty("reasoning_content").GetString(), Joined(chunks, "reasoning_content"));
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_tokens_beside_other_requests()
    {
        JsonObject body = OpenAiClient.GreedyChat("Who are you?");
        body["temperature"] = 1.5;
        body["seed"] = 42;
        int[] alone = (await _http.PostAsync("/v1/chat/completions", body)).TokenIds();
        JsonElement[] beside = await Task.WhenAll(Enumerable.Range(0, 12).Select(i =>
        {
            JsonObject other = body.DeepClone().AsObject();
            if (i % 3 != 0)
                other["seed"] = i;
            return _http.PostAsync("/v1/chat/completions", other);
        }));
        Assert.All(beside.Where((_, i) => i % 3 == 0), response => Assert.Equal(alone, response.TokenIds()));
    }

    [Fact]
    public async Task Several_answers_to_one_prompt_are_those_that_each_has_alone()
    {
        JsonObject body = OpenAiClient.GreedyChat("Tell me about the sea.", maxTokens: 60);
        body["temperature"] = 1.2;
        body["top_p"] = 0.9;
        body["top_k"] = 40;
        body["frequency_penalty"] = 0.5;
        body["seed"] = 42;
        JsonElement alone = await _http.PostAsync("/v1/chat/completions", body);
        body["n"] = 3;
        JsonElement several = await _http.PostAsync("/v1/chat/completions", body.DeepClone());
        int[][] answers = [.. several.GetProperty("choices").EnumerateArray().Select(choice => choice.GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32()).ToArray())];
        Assert.Equal(3, answers.Length);
        Assert.Equal(alone.TokenIds(), answers[0]);
        Assert.NotEqual(answers[0], answers[1]);
        Assert.NotEqual(answers[1], answers[2]);
        Assert.Equal(alone.GetProperty("usage").GetProperty("prompt_tokens").GetInt32(), several.GetProperty("usage").GetProperty("prompt_tokens").GetInt32());
        Assert.Equal(answers.Sum(tokens => tokens.Length), several.GetProperty("usage").GetProperty("completion_tokens").GetInt32());

        List<JsonElement> chunks = await _http.PostStreamAsync("/v1/chat/completions", body);
        for (int index = 0; index < 3; index++)
        {
            IEnumerable<JsonElement> own = chunks.Select(chunk => chunk.GetProperty("choices")[0]).Where(choice => choice.GetProperty("index").GetInt32() == index);
            Assert.Equal(answers[index], own.SelectMany(choice => choice.GetProperty("token_ids").EnumerateArray()).Select(id => id.GetInt32()));
        }
    }

    private static string Joined(List<JsonElement> chunks, string part) => string.Concat(chunks
        .Where(chunk => chunk.GetProperty("choices").GetArrayLength() > 0)
        .Select(chunk => chunk.GetProperty("choices")[0].GetProperty("delta").TryGetProperty(part, out JsonElement text) ? text.GetString() : ""));
}
