using System.Net;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Plain HTTP against the OpenAI surface, so that a test sees what is on the wire.</summary>
internal static class OpenAiClient
{
    public static async Task<JsonElement> PostAsync(this HttpClient http, string path, object body)
    {
        using HttpResponseMessage response = await http.PostAsJsonAsync(path, body);
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.StatusCode == HttpStatusCode.OK, $"{path}: {(int)response.StatusCode} {text}");
        return JsonDocument.Parse(text).RootElement;
    }

    /// <summary>The data of each server-sent event, without [DONE], which must be the last.</summary>
    public static async Task<List<JsonElement>> PostStreamAsync(this HttpClient http, string path, JsonObject body)
    {
        body["stream"] = true;
        using HttpRequestMessage request = new(HttpMethod.Post, path) { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
        using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
        Assert.Equal(HttpStatusCode.OK, response.StatusCode);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        using StreamReader reader = new(await response.Content.ReadAsStreamAsync());
        List<string> events = [];
        while (await reader.ReadLineAsync() is { } line)
        {
            if (line.StartsWith("data: ", StringComparison.Ordinal))
                events.Add(line["data: ".Length..]);
        }

        Assert.Equal("[DONE]", events[^1]);
        return [.. events.SkipLast(1).Select(data => JsonDocument.Parse(data).RootElement)];
    }

    /// <summary>A greedy chat request for a known answer.</summary>
    public static JsonObject GreedyChat(Answers.Answer answer)
    {
        JsonObject body = new()
        {
            ["messages"] = JsonNode.Parse(answer.Messages.GetRawText()),
            ["temperature"] = 0,
            ["max_tokens"] = 400,
            ["return_token_ids"] = true,
        };
        if (answer.Tools is { ValueKind: JsonValueKind.Array } tools)
            body["tools"] = JsonNode.Parse(tools.GetRawText());
        return body;
    }

    public static JsonObject GreedyChat(string prompt, int maxTokens = 200) => new()
    {
        ["messages"] = new JsonArray(new JsonObject { ["role"] = "user", ["content"] = prompt }),
        ["temperature"] = 0,
        ["max_tokens"] = maxTokens,
        ["return_token_ids"] = true,
    };

    public static int[] TokenIds(this JsonElement response) =>
        [.. response.GetProperty("choices")[0].GetProperty("token_ids").EnumerateArray().Select(id => id.GetInt32())];

    public static string Content(this JsonElement response) => response.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString() ?? "";
}
