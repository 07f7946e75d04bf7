using System.Runtime.CompilerServices;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli.Tests;

public sealed class ChatSessionTests
{
    private static readonly ChatEvent[] Answer =
    [
        new() { Started = new Started { Model = "k2-nano" } },
        new() { Reasoning = "2 and 2" },
        new() { Reasoning = " make 4" },
        new() { Content = "It is " },
        new() { TokenIds = { 7 } },
        new() { Content = "4." },
        new() { Finished = new Finished { Reason = FinishReason.Stop } },
    ];

    [Fact]
    public async Task A_terminal_gets_dimmed_reasoning_and_then_the_answer()
    {
        Assert.Equal("\e[2m2 and 2 make 4\n\e[0mIt is 4.\n", await PrintAsync(Answer, isTerminal: true, ansi: true));
        Assert.Equal("2 and 2 make 4\nIt is 4.\n", await PrintAsync(Answer, isTerminal: true, ansi: false));
    }

    [Fact]
    public async Task A_pipe_gets_the_answer_only()
    {
        Assert.Equal("It is 4.\n", await PrintAsync(Answer, isTerminal: false, ansi: false));
    }

    [Fact]
    public async Task Control_sequences_of_a_model_never_reach_a_terminal()
    {
        ChatEvent[] answer = [new() { Content = "a\e]0;title\a\r\n\tb\u009bm" }];

        Assert.Equal("a\uFFFD]0;title\uFFFD\uFFFD\n\tb\uFFFDm\n", await PrintAsync(answer, isTerminal: true, ansi: true));
    }

    [Fact]
    public async Task An_answer_that_was_cut_says_so()
    {
        ChatEvent[] answer = [new() { Content = "It" }, new() { Finished = new Finished { Reason = FinishReason.Length } }];

        Assert.Equal("It\n(ended by --max-tokens or the context)\n", await PrintAsync(answer, isTerminal: true, ansi: false));
    }

    [Fact]
    public async Task A_turn_is_remembered_with_its_reasoning_and_a_failed_one_is_not()
    {
        FakeGateway gateway = new() { Events = Answer };
        ChatSession session = new(gateway.Chat, "", new GenerationOptions { MaxTokens = 9 }, "Be brief.");
        AnswerPrinter printer = new(TextWriter.Null, isTerminal: false, ansi: false);

        await session.AskAsync("2+2?", printer, default);
        gateway.Failure = new RpcException(new Status(StatusCode.Unavailable, "gone"));
        await Assert.ThrowsAsync<RpcException>(() => session.AskAsync("lost", printer, default));
        gateway.Failure = null;
        await session.AskAsync("Sure?", printer, default);

        Assert.Equal(
            [("system", "Be brief.", ""), ("user", "2+2?", ""), ("assistant", "It is 4.", "2 and 2 make 4"), ("user", "Sure?", "")],
            gateway.Last!.Conversation.Messages.Select(message => (message.Role, message.Content, message.ReasoningContent)));
        Assert.Equal(9u, gateway.Last.Options.MaxTokens);

        session.Restart();
        await session.AskAsync("New", printer, default);
        Assert.Equal(["Be brief.", "New"], gateway.Last.Conversation.Messages.Select(message => message.Content));
    }

    private static async Task<string> PrintAsync(ChatEvent[] events, bool isTerminal, bool ansi)
    {
        using StringWriter output = new();
        ChatSession session = new(new FakeGateway { Events = events }.Chat, "", new GenerationOptions(), system: null);
        await session.AskAsync("Hi", new AnswerPrinter(output, isTerminal, ansi), default);
        return output.ToString();
    }

    private sealed class FakeGateway
    {
        public ChatEvent[] Events { get; init; } = [];

        public RpcException? Failure { get; set; }

        public ChatRequest? Last { get; private set; }

        public async IAsyncEnumerable<ChatEvent> Chat(ChatRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
        {
            Last = request;
            await Task.Yield();
            foreach (ChatEvent part in Failure is null ? Events : Events[..2])
                yield return part;
            if (Failure is not null)
                throw Failure;
        }
    }
}
