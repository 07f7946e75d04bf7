using Grpc.Core;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.Grpc;

/// <summary>Writes the events of the answers to one request; the tokens of an answer since its last event go with the next.</summary>
/// <param name="choices">How many answers there are.</param>
/// <param name="stream">To the client.</param>
/// <param name="attach">Puts the choice, and what was asked for of the tokens, into an event.</param>
internal sealed class EventWriter<T>(int choices, IServerStreamWriter<T> stream, Action<T, int, IReadOnlyList<AnswerToken>> attach)
{
    private readonly List<AnswerToken>[] _unsent = [.. Enumerable.Range(0, choices).Select(_ => new List<AnswerToken>())];

    public void Add(int choice, AnswerToken token) => _unsent[choice].Add(token);

    /// <summary>Waits while the client reads too slowly: HTTP/2's flow control bounds what is under way.</summary>
    public Task WriteAsync(int choice, T message, CancellationToken cancellationToken)
    {
        attach(message, choice, _unsent[choice]);
        _unsent[choice].Clear();
        return stream.WriteAsync(message, cancellationToken);
    }
}
