using System.Runtime.InteropServices;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>The calls of a batch that are under way: which of them to see to now, and when to look again. They are reused.</summary>
/// <param name="options">What is late, and what takes too long.</param>
/// <param name="time">The clock.</param>
/// <param name="answered">Called on any thread when a call is answered.</param>
internal sealed class BatchCalls(DispatchOptions options, TimeProvider time, Action answered) : IDisposable
{
    /// <summary>How often a call that is not answered is looked at, for its shard may have fallen silent.</summary>
    public static readonly TimeSpan LongestWait = TimeSpan.FromMilliseconds(250);

    private readonly List<DispatchCall> _underWay = [];
    private readonly Stack<DispatchCall> _unused = [];

    public ReadOnlySpan<DispatchCall> UnderWay => CollectionsMarshal.AsSpan(_underWay);

    /// <summary>Sends a frame, which belongs to the channel from here on. Until it is said when the call is late, it never is.</summary>
    public DispatchCall Send(RouteTable routes, int shard, ReadOnlySpan<int> pairs, ExpertFrame frame, long now)
    {
        if (!_unused.TryPop(out DispatchCall? call))
            call = new DispatchCall(answered);
        call.Send(routes, shard, pairs, frame, now);
        _underWay.Add(call);
        if (call.IsAnswered)
            answered();
        return call;
    }

    /// <summary>When (timestamp) a call is late, by what calls of its size take its shard.</summary>
    public long LateAt(DispatchCall call) =>
        call.Sent + (call.Routes.Pace(call.Shard).LateAfter(call.Pairs.Length, options.ShortestHedge) ?? time.Units(options.FirstHedge));

    /// <summary>Takes out a call that was answered; null when there is none.</summary>
    public DispatchCall? TakeAnswered()
    {
        for (int i = _underWay.Count - 1; i >= 0; i--)
        {
            if (_underWay[i].IsAnswered)
                return Take(i);
        }

        return null;
    }

    /// <summary>Takes out a call that takes too long, or whose shard has fallen silent, and gives it up; null when there is none.</summary>
    public DispatchCall? TakeSilent(long now)
    {
        for (int i = _underWay.Count - 1; i >= 0; i--)
        {
            if (time.GetElapsedTime(_underWay[i].Sent, now) < options.CallTimeout && !_underWay[i].Channel.IsSilent)
                continue;
            _underWay[i].GiveUp();
            return Take(i);
        }

        return null;
    }

    /// <summary>A call that is late, each once: it stays under way. Null when there is none.</summary>
    public DispatchCall? NextLate(long now)
    {
        foreach (DispatchCall call in _underWay)
        {
            if (call.HedgeAt > now)
                continue;
            call.HedgeAt = long.MaxValue;
            return call;
        }

        return null;
    }

    /// <summary>How long until a call is to be looked at, unless one is answered before. Zero only while one is late, or takes too long already.</summary>
    public TimeSpan UntilNext(long now)
    {
        long next = now + time.Units(LongestWait);
        foreach (DispatchCall call in _underWay)
            next = Math.Min(next, Math.Min(call.HedgeAt, call.Sent + time.Units(options.CallTimeout)));
        return time.GetElapsedTime(now, Math.Max(next, now));
    }

    /// <summary>Keeps a call that was answered and taken out for another time.</summary>
    public void Reuse(DispatchCall call)
    {
        if (call.TryReset())
            _unused.Push(call);
    }

    public void GiveUpAll()
    {
        foreach (DispatchCall call in _underWay)
            call.GiveUp();
        _underWay.Clear();
    }

    /// <summary>Only while none is under way.</summary>
    public void Dispose()
    {
        while (_unused.TryPop(out DispatchCall? call))
            call.Dispose();
    }

    private DispatchCall Take(int index)
    {
        DispatchCall call = _underWay[index];
        _underWay.RemoveAt(index);
        return call;
    }
}
