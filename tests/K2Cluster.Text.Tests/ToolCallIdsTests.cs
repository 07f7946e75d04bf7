using System.Text.Json;

namespace K2Cluster.Text.Tests;

public class ToolCallIdsTests
{
    [Fact]
    public void Calls_are_counted_over_the_whole_conversation_and_results_follow_them()
    {
        ChatMessage[] messages =
        [
            Conversations.User("hi"),
            Calls(("call_x", "search"), ("call_y", "get-weather")),
            Result("call_y"),
            Result("call_x"),
            Calls(("call_z", "ns.tool")),
            Result("call_z"),
        ];

        Assert.Equal(
            ["", "functions.search:0 functions.get-weather:1", "functions.get-weather:1", "functions.search:0", "functions.ns.tool:2", "functions.ns.tool:2"],
            Ids(ToolCallIds.Normalise(messages)));
    }

    [Fact]
    public void An_id_that_is_used_again_means_the_latest_call()
    {
        ChatMessage[] messages = [Calls(("0", "a")), Result("0"), Calls(("0", "b")), Result("0"), Calls(("0", "c"), ("0", "d")), Result("0"), Result("0"), Result("0")];

        Assert.Equal(
            ["functions.a:0", "functions.a:0", "functions.b:1", "functions.b:1", "functions.c:2 functions.d:3", "functions.c:2", "functions.d:3", "functions.d:3"],
            Ids(ToolCallIds.Normalise(messages)));
    }

    [Fact]
    public void A_result_that_answers_no_call_keeps_its_id() =>
        Assert.Equal(["other", "functions.a:0"], Ids(ToolCallIds.Normalise([Result("other"), Calls(("x", "a"))])));

    [Fact]
    public void Well_formed_conversations_stay_as_they_are()
    {
        ChatMessage[] messages = [Conversations.User("hi"), Calls(("functions.a:0", "a"), ("functions.b:1", "b")), Result("functions.a:0"), Result("functions.b:1")];

        Assert.Equal(Ids(messages), Ids(ToolCallIds.Normalise(messages)));
    }

    private static ChatMessage Calls(params (string Id, string Name)[] calls) => new()
    {
        Role = "assistant",
        ToolCalls = [.. calls.Select(call => new ChatToolCall(call.Id, call.Name, default(JsonElement)))],
    };

    private static ChatMessage Result(string id) => new() { Role = "tool", ToolCallId = id };

    private static IEnumerable<string> Ids(IEnumerable<ChatMessage> messages) =>
        messages.Select(message => message.ToolCallId ?? string.Join(' ', message.ToolCalls.Select(call => call.Id)));
}
