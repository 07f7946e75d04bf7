using K2Cluster.Cluster;
using K2Cluster.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Embedding;

/// <summary>
/// Ends the process in order when Orleans cannot go on, as when the others have declared this member dead after a long pause.
/// Orleans' own handler aborts with a dump of stacks.
/// </summary>
internal sealed partial class FatalErrors(FatalFailure failure, ILogger<FatalErrors> log) : IFatalErrorHandler
{
    /// <inheritdoc/>
    public bool IsUnexpected(Exception exception) => exception is not ThreadAbortException;

    /// <inheritdoc/>
    public void OnFatalException(object? sender, string? context, Exception? exception)
    {
        LogFatal(log, sender?.GetType().Name, exception);
        string reason = context ?? exception?.Message ?? "no reason given";
        failure.Stop(exception as ClusterException ?? new ClusterException($"This process is no member of its cluster any more, start it again: {reason.ReplaceLineEndings(" ")}"));
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "Fatal in {Part}")]
    private static partial void LogFatal(ILogger logger, string? part, Exception? exception);
}
