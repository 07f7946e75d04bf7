namespace K2Cluster.Gateway.Serving;

/// <summary>Where the details go that an answer does not have: one line, with the words and so the id that the client got.</summary>
internal static partial class FailureLog
{
    /// <summary>Tells of failures and of limits that passed; what is the request's own fault, or passes, is no news.</summary>
    public static void Tell(ILogger log, string path, RequestException error)
    {
        if (error.Fault is RequestFault.Failed or RequestFault.TimedOut)
            Log(log, error.Fault == RequestFault.Failed ? LogLevel.Error : LogLevel.Warning, path, error.Message, error.InnerException);
    }

    [LoggerMessage(Message = "{Path}: {Answer}")]
    private static partial void Log(ILogger logger, LogLevel level, string path, string answer, Exception? cause);
}
