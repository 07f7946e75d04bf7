using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using Xunit.Abstractions;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>An agent's session: the client sends the whole conversation each turn, and the gateway computes what is new.</summary>
public sealed class ToolLoopTests(EmbeddedGateway embedded, ITestOutputHelper output) : IClassFixture<EmbeddedGateway>
{
    private const int PageTokens = 64;

    [Fact]
    [Trait("Category", "Slow")]
    public async Task In_300_turns_all_but_the_new_messages_and_one_page_comes_from_the_cache()
    {
        JsonArray messages = [new JsonObject { ["role"] = "user", ["content"] = "Add one, again and again." }];
        JsonArray tools = JsonNode.Parse("""[{"type":"function","function":{"name":"add","description":"Adds one","parameters":{"type":"object","properties":{"n":{"type":"integer"}}}}}]""")!.AsArray();
        int[] before = [];
        for (int turn = 1; turn <= 300; turn++)
        {
            long started = Stopwatch.GetTimestamp();
            JsonElement response = await embedded.Http.PostAsync("/v1/chat/completions", new JsonObject
            {
                ["messages"] = messages.DeepClone(),
                ["tools"] = tools.DeepClone(),
                ["temperature"] = 0,
                ["max_tokens"] = 3,
                ["return_token_ids"] = true,
            });
            int[] prompt = [.. response.GetProperty("prompt_token_ids").EnumerateArray().Select(id => id.GetInt32())];
            int cached = response.GetProperty("usage").GetProperty("prompt_tokens_details").GetProperty("cached_tokens").GetInt32();

            // The turn before is a prefix of this one: its last page is partial, all others are in the cache.
            int common = before.AsSpan().CommonPrefixLength(prompt);
            Assert.InRange(before.Length - common, 0, 4);
            Assert.Equal(Math.Min(common, prompt.Length - 1) / PageTokens * PageTokens, cached);
            if (turn is 20 or 100 or 200 or 300)
                output.WriteLine($"turn {turn}: {prompt.Length} tokens, {cached} cached, {Stopwatch.GetElapsedTime(started).TotalMilliseconds:F0} ms");

            before = [.. prompt, .. response.TokenIds()[..^1]];
            messages.Add(new JsonObject
            {
                ["role"] = "assistant",
                ["content"] = "",
                ["tool_calls"] = new JsonArray(new JsonObject { ["id"] = $"functions.add:{turn - 1}", ["type"] = "function", ["function"] = new JsonObject { ["name"] = "add", ["arguments"] = $$"""{"n": {{turn}}}""" } }),
            });
            messages.Add(new JsonObject { ["role"] = "tool", ["tool_call_id"] = $"functions.add:{turn - 1}", ["content"] = $"{turn + 1}" });
        }
    }
}
