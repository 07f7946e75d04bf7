using Google.Protobuf.Collections;
using Grpc.Core;

namespace K2Cluster.Gateway.Grpc;

/// <summary>Writes the events of one answer; the tokens since the last event go with the next, when they were asked for.</summary>
internal sealed class EventWriter<T>(bool withTokens, IServerStreamWriter<T> stream, Func<T, RepeatedField<uint>> tokens)
{
    private readonly List<uint> _unsent = [];

    public void Add(int token)
    {
        if (withTokens)
            _unsent.Add((uint)token);
    }

    /// <summary>Waits while the client reads too slowly: HTTP/2's flow control bounds what is under way.</summary>
    public Task WriteAsync(T message, CancellationToken cancellationToken)
    {
        tokens(message).AddRange(_unsent);
        _unsent.Clear();
        return stream.WriteAsync(message, cancellationToken);
    }
}
