using System.Collections.Concurrent;

namespace K2Cluster.Cluster.Tests.Membership;

/// <summary>Keeps why members would end their process, and lets it live.</summary>
internal sealed class Ends : IFatalErrorHandler
{
    public ConcurrentQueue<Exception?> Reasons { get; } = new();

    public bool IsUnexpected(Exception exception) => exception is not ThreadAbortException;

    public void OnFatalException(object? sender, string? context, Exception? exception) => Reasons.Enqueue(exception);
}
