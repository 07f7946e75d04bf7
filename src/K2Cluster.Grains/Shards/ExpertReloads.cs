namespace K2Cluster.Grains.Shards;

/// <summary>
/// Which experts of a shard gave no finite numbers, and what is done about it: each is loaded anew from the checkpoint, once a
/// minute at most. One that goes on after three times is lost, and its device not to be trusted. Only what is sure counts for
/// that: a request could have numbers in it that no replica is finite with.
/// </summary>
internal sealed class ExpertReloads(TimeProvider time)
{
    public const int Most = 3;

    public static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private static readonly TimeSpan Memory = TimeSpan.FromHours(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<int, (long Last, int Sure)> _reloads = [];
    private volatile int[] _lost = [];

    /// <summary>Experts that are given up, in the order of that.</summary>
    public IReadOnlyList<int> Lost => _lost;

    /// <summary>An expert gave no finite numbers: whether it is to be dropped now. It is to be loaded again unless it is among <see cref="Lost"/> then.</summary>
    public bool Take(int expert, bool isSure)
    {
        long now = time.GetTimestamp();
        lock (_lock)
        {
            int sure = 0;
            if (_reloads.TryGetValue(expert, out (long Last, int Sure) before))
            {
                TimeSpan since = time.GetElapsedTime(before.Last, now);
                if (since < Interval || _lost.Contains(expert))
                    return false;
                sure = since < Memory ? before.Sure : 0;
            }

            if (isSure && ++sure > Most)
                _lost = [.. _lost, expert];
            _reloads[expert] = (now, sure);
            return true;
        }
    }
}
