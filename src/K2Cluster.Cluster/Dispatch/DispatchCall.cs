using System.Runtime.CompilerServices;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>
/// A frame under way to a shard, and the pairs of its batch that it carries. Reused call after call; one that is given up
/// unanswered is not, as its answer may still come: it is thrown away then, whatever the batch does by that time.
/// </summary>
internal sealed class DispatchCall : IDisposable
{
    private const int Waiting = 0;
    private const int Answered = 1;
    private const int GivenUp = 2;

    private readonly Action _signal;
    private readonly Action _completed;
    private readonly CancellationTokenSource _cancellation = new();
    private ConfiguredValueTaskAwaitable<ExpertReply>.ConfiguredValueTaskAwaiter _reply;
    private int[] _pairs = [];
    private bool[] _freed = [];
    private int _count;
    private int _state;

    /// <param name="signal">Called on any thread when the answer has come.</param>
    public DispatchCall(Action signal)
    {
        _signal = signal;
        _completed = OnCompleted;
    }

    /// <summary>The routes by which it was sent, and the shard's index in them.</summary>
    public RouteTable Routes { get; private set; } = null!;

    public int Shard { get; private set; }

    /// <summary>The shard's index in the routes that its batch goes by now; -1 if their plan does not have it any more.</summary>
    public int Place { get; set; }

    /// <summary>When (timestamp) it was sent.</summary>
    public long Sent { get; private set; }

    /// <summary>When (timestamp) it is late, so that other replicas are asked, too; <see cref="long.MaxValue"/> once that has been done, or where there are none.</summary>
    public long HedgeAt { get; set; }

    /// <summary>Whether pairs of it may have been asked of other shards since.</summary>
    public bool IsLate { get; private set; }

    /// <summary>The batch's pairs in the order of the frame.</summary>
    public ReadOnlySpan<int> Pairs => _pairs.AsSpan(0, _count);

    public IExpertChannel Channel => Routes.Channel(Shard);

    /// <summary>The call is late: those of its pairs of which <paramref name="mayFree"/> says so do not wait for it any more.</summary>
    public void SetLate(Func<int, bool> mayFree)
    {
        bool wasLate = IsLate;
        IsLate = true;
        for (int i = 0; i < _count; i++)
            _freed[i] = (wasLate && _freed[i]) || mayFree(_pairs[i]);
    }

    /// <summary>Whether the pair at an index of <see cref="Pairs"/> waits for this call.</summary>
    public bool Holds(int index) => !IsLate || !_freed[index];

    public bool IsAnswered => Volatile.Read(ref _state) == Answered;

    /// <summary>Sends a frame, which belongs to the channel from here on.</summary>
    public void Send(RouteTable routes, int shard, ReadOnlySpan<int> pairs, ExpertFrame frame, long now)
    {
        (Routes, Shard, Place, Sent, HedgeAt, IsLate, _count) = (routes, shard, shard, now, long.MaxValue, false, pairs.Length);
        if (_pairs.Length < pairs.Length)
            (_pairs, _freed) = (new int[pairs.Length], new bool[pairs.Length]);
        pairs.CopyTo(_pairs);
        Volatile.Write(ref _state, Waiting);
        ValueTask<ExpertReply> reply;
        try
        {
            reply = Channel.SubmitAsync(frame, _cancellation.Token);
        }
        catch (Exception exception)
        {
            reply = ValueTask.FromException<ExpertReply>(exception);
        }

        _reply = reply.ConfigureAwait(false).GetAwaiter();
        if (_reply.IsCompleted)
            Volatile.Write(ref _state, Answered);
        else
            _reply.UnsafeOnCompleted(_completed);
    }

    /// <summary>The answer, which belongs to the caller; once, and only when <see cref="IsAnswered"/>.</summary>
    /// <exception cref="Exception">The call failed.</exception>
    public ExpertReply TakeReply() => _reply.GetResult();

    /// <summary>After its reply was taken: whether it can be used again.</summary>
    public bool TryReset() => _cancellation.TryReset();

    /// <summary>Cancels the call; its answer is thrown away when it comes. The others of its batch have tokens of their own.</summary>
    public void GiveUp()
    {
        if (Interlocked.CompareExchange(ref _state, GivenUp, Waiting) == Waiting)
            _ = _cancellation.CancelAsync(); // what is registered there is not ours, and may take its time
        else
            ThrowAway();
    }

    /// <summary>Only while it is not under way.</summary>
    public void Dispose() => _cancellation.Dispose();

    private void OnCompleted()
    {
        if (Interlocked.CompareExchange(ref _state, Answered, Waiting) == Waiting)
            _signal();
        else
            ThrowAway();
    }

    private void ThrowAway()
    {
        try
        {
            _reply.GetResult().Dispose();
        }
        catch (Exception)
        {
            // Nobody asks any more.
        }
    }
}
