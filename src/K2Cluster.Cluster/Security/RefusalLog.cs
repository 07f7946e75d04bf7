using System.Net;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Security;

/// <summary>Says which peers were refused and why: not again for each of their attempts, which may be many a second.</summary>
internal sealed partial class RefusalLog(TimeProvider time, ILogger<RefusalLog> log)
{
    private const int MostRemembered = 256;
    private static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    private readonly Lock _lock = new();
    private readonly Dictionary<(IPAddress?, string), long> _said = [];

    public void Add(EndPoint? peer, bool inbound, string reason)
    {
        lock (_lock)
        {
            long now = time.GetTimestamp();
            (IPAddress?, string) key = ((peer as IPEndPoint)?.Address, reason);
            if (_said.TryGetValue(key, out long said) && time.GetElapsedTime(said, now) < Pause)
                return;
            if (_said.Count >= MostRemembered)
                _said.Clear();
            _said[key] = now;
        }

        if (inbound)
            LogRefused(log, peer, reason);
        else
            LogNotTrusted(log, peer, reason);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A connection from {Peer} was refused: {Reason}")]
    private static partial void LogRefused(ILogger logger, EndPoint? peer, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No secure connection to the member at {Peer}: {Reason}")]
    private static partial void LogNotTrusted(ILogger logger, EndPoint? peer, string reason);
}
