using System.Net;
using K2Cluster.Fabric.Connections;
using K2Cluster.Fabric.Frames;

namespace K2Cluster.Fabric;

/// <summary>
/// The way to one listener: a connection a lane, made at first use and made again when it is lost, all in the background.
/// Nothing here keeps its caller: a call is sent at once or, where too much is in flight, as soon as there is room; or its caller is
/// told that it will not be.
/// </summary>
public sealed class FabricPeer : IDisposable
{
    private readonly PeerLane[] _lanes;
    private readonly ITimer _heartbeat;
    private readonly Action<string> _log;
    private string? _lastReason;
    private int _isGone;
    private int _lanesLeft;

    /// <param name="name">The peer's, for threads and messages.</param>
    /// <param name="endPoint">Where it listens.</param>
    /// <param name="options">Who this end is, and its limits.</param>
    /// <param name="log">Told why a connection ended or could not be made, each reason once in a row.</param>
    public FabricPeer(string name, IPEndPoint endPoint, FabricOptions options, Action<string>? log = null)
    {
        options.Check();
        (Name, EndPoint, _log) = (name, endPoint, log ?? (static _ => { }));
        _lanes = [.. Enum.GetValues<FabricLane>().Select(lane => new PeerLane(name, endPoint, lane, options, OnOpened, OnEnded, OnRefused, OnPong, OnLeft))];
        _heartbeat = options.Time.CreateTimer(static self => ((FabricPeer)self!).Tick(), this, options.Heartbeat, options.Heartbeat);
    }

    /// <summary>
    /// The peer's process is gone: a connection ended without a word, and the next one was refused. Told once until a connection
    /// is made again, with the reason, on a thread that may be kept for a moment. Silence alone never means this.
    /// </summary>
    public event Action<string>? Gone;

    /// <summary>Given what the peer's service says of itself, at each heartbeat of each lane.</summary>
    public event PongReader? Ponged;

    public string Name { get; }

    public IPEndPoint EndPoint { get; }

    /// <summary>Whether nothing was heard for a while: it may hang, or the network may. What is in flight may be answered yet.</summary>
    public bool IsSilent => Array.Exists(_lanes, lane => lane.IsSilent);

    /// <summary>Whether <see cref="Gone"/> was told, and no connection made since.</summary>
    public bool IsGone => Volatile.Read(ref _isGone) != 0;

    /// <summary>Whether a call would find a connection now. Where it would not, asking makes one in the background.</summary>
    public bool IsReady(FabricLane lane) => _lanes[(int)lane].Ready is not null;

    /// <summary>Sends a call, at once or as soon as there is room. Unless Taken, call and payload are the caller's still; without a connection, asking makes one in the background.</summary>
    /// <param name="lane">Which connection.</param>
    /// <param name="call">Free, that is new or released.</param>
    /// <param name="head">At most 1 KiB.</param>
    /// <param name="payload">The fabric's from here on, if the call is sent.</param>
    /// <param name="replyBytes">What the reply will take, for <see cref="FabricOptions.InFlightBytes"/>.</param>
    /// <param name="cancellationToken">Ends the call for its caller at once, and tells the peer.</param>
    /// <param name="reply">The answer, to be awaited once; a <see cref="FabricException"/> when there is none.</param>
    public SendOutcome TrySend<TResult>(FabricLane lane, FabricCall<TResult> call, ReadOnlySpan<byte> head, PooledBytes payload, int replyBytes, CancellationToken cancellationToken, out ValueTask<TResult> reply)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(head.Length, FrameHeader.MaxHeadLength, nameof(head));
        SendOutcome outcome = _lanes[(int)lane].Ready?.TrySend(call, head, payload, replyBytes) ?? SendOutcome.Closed;
        if (outcome == SendOutcome.Closed && _lanes[(int)lane].IsLost)
            outcome = SendOutcome.Lost;
        reply = outcome == SendOutcome.Taken ? call.AsTask(cancellationToken) : default;
        return outcome;
    }

    /// <summary>Sends no more, and says goodbye when what is in flight is answered. Until then a peer that falls silent is still noticed, and left in the end.</summary>
    public void Dispose()
    {
        foreach (PeerLane lane in _lanes)
            lane.Leave();
    }

    private void Tick()
    {
        foreach (PeerLane lane in _lanes)
            lane.Tick();
    }

    private void OnOpened()
    {
        Volatile.Write(ref _isGone, 0);
        Volatile.Write(ref _lastReason, null);
    }

    private void OnPong(ReadOnlySpan<byte> head) => Ponged?.Invoke(head);

    private void OnEnded(string reason)
    {
        if (Interlocked.Exchange(ref _lastReason, reason) != reason)
            _log(reason);
    }

    private void OnLeft()
    {
        if (Interlocked.Increment(ref _lanesLeft) == _lanes.Length)
            _heartbeat.Dispose();
    }

    private void OnRefused(string reason)
    {
        if (Interlocked.Exchange(ref _isGone, 1) != 0)
            return;
        try
        {
            Gone?.Invoke(reason);
        }
        catch (Exception exception)
        {
            _log($"What {Name} being gone was told to failed: {exception.Message}"); // its thread is the lane's, which goes on
        }
    }
}
