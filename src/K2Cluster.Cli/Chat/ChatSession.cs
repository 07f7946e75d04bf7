using System.Text;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli;

/// <summary>A conversation with a gateway. A turn that fails or is cancelled leaves no trace in it.</summary>
/// <param name="ask">Sends a request.</param>
/// <param name="model">The model's name; empty for the one that is served.</param>
/// <param name="options">Of every answer.</param>
/// <param name="system">A system message to begin with.</param>
internal sealed class ChatSession(Func<ChatRequest, CancellationToken, IAsyncEnumerable<ChatEvent>> ask, string model, GenerationOptions options, string? system)
{
    private readonly List<ChatMessage> _messages = StartOf(system);

    public void Restart()
    {
        _messages.Clear();
        _messages.AddRange(StartOf(system));
    }

    /// <summary>Asks, and prints the answer as it comes.</summary>
    /// <exception cref="RpcException">The gateway refused, or broke off.</exception>
    public async Task AskAsync(string prompt, AnswerPrinter printer, CancellationToken cancellation)
    {
        ChatMessage question = new() { Role = "user", Content = prompt };
        ChatRequest request = new() { Model = model, Options = options, Conversation = new Conversation { Messages = { _messages, question } } };
        StringBuilder reasoning = new();
        StringBuilder content = new();
        try
        {
            await foreach (ChatEvent part in ask(request, cancellation))
            {
                switch (part.EventCase)
                {
                    case ChatEvent.EventOneofCase.Reasoning:
                        reasoning.Append(part.Reasoning);
                        printer.Reasoning(part.Reasoning);
                        break;
                    case ChatEvent.EventOneofCase.Content:
                        content.Append(part.Content);
                        printer.Content(part.Content);
                        break;
                    case ChatEvent.EventOneofCase.ToolCall:
                        printer.Note($"(calls {part.ToolCall.Name}, though no tools were offered)");
                        break;
                    case ChatEvent.EventOneofCase.Finished when part.Finished.Reason == FinishReason.Length:
                        printer.Note("(ended by --max-tokens or the context)");
                        break;
                }
            }
        }
        finally
        {
            printer.End();
        }

        _messages.Add(question);
        _messages.Add(new ChatMessage { Role = "assistant", Content = content.ToString(), ReasoningContent = reasoning.ToString() });
    }

    private static List<ChatMessage> StartOf(string? system) =>
        system is null ? [] : [new ChatMessage { Role = "system", Content = system }];
}
