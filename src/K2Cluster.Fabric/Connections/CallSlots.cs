using System.Diagnostics.CodeAnalysis;

namespace K2Cluster.Fabric.Connections;

/// <summary>
/// The requests of a connection that wait for their answer. A slot is free again when the answer is there, also when nobody
/// waits for it any more: so the server never has more requests than there are slots. An id is (use of the slot, slot).
/// Calls beyond wait in their order, as many as there are slots; their payloads are there in any case.
/// </summary>
internal sealed class CallSlots
{
    private readonly FabricCall?[] _calls;
    private readonly ulong[] _ids;
    private readonly bool[] _isUsed;
    private readonly long[] _bytes;
    private readonly long _mostBytes;
    private readonly int[] _free;
    private readonly List<WaitingCall> _waiting = [];
    private readonly Lock _lock = new();
    private int _freeCount;
    private long _inFlightBytes;
    private bool _closed;

    /// <param name="count">Requests at once, at most.</param>
    /// <param name="mostBytes">Their bytes, at most, unless there is one only.</param>
    public CallSlots(int count, long mostBytes)
    {
        _mostBytes = mostBytes;
        _bytes = new long[count];
        _calls = new FabricCall?[count];
        _ids = new ulong[count];
        _isUsed = new bool[count];
        _free = new int[count];
        for (int slot = 0; slot < count; slot++)
        {
            _ids[slot] = (ulong)slot;
            _free[count - 1 - slot] = slot;
        }

        _freeCount = count;
    }

    public int InFlight
    {
        get
        {
            lock (_lock)
                return _calls.Length - _freeCount;
        }
    }

    /// <summary>Gives a call of so many bytes a slot and an id. False when there is no room for it, or others wait, or the slots are closed.</summary>
    public bool TryAdd(FabricCall call, ClientConnection connection, long bytes)
    {
        lock (_lock)
        {
            call.Connection = connection;
            return _waiting.Count == 0 && TryTake(call, bytes);
        }
    }

    /// <summary>Keeps a call until <see cref="TryTakeWaiting"/> gives it out. Unless Taken, it is the caller's still.</summary>
    public SendOutcome TryWait(WaitingCall waiting)
    {
        lock (_lock)
        {
            if (_closed)
                return SendOutcome.Closed;
            if (_waiting.Count == _calls.Length)
                return SendOutcome.Full;
            waiting.Call.Id = 0;
            _waiting.Add(waiting);
            return SendOutcome.Taken;
        }
    }

    /// <summary>The call that waits longest, if there is room for it now: it has its slot and id then.</summary>
    public bool TryTakeWaiting([NotNullWhen(true)] out WaitingCall? waiting, out ulong id)
    {
        lock (_lock)
        {
            (waiting, id) = (null, 0);
            if (_waiting.Count == 0 || !TryTake(_waiting[0].Call, _waiting[0].Bytes))
                return false;
            waiting = Unwait(0);
            id = waiting.Call.Id;
            return true;
        }
    }

    /// <summary>Takes out all calls that wait.</summary>
    public WaitingCall[] TakeAllWaiting()
    {
        lock (_lock)
        {
            WaitingCall[] waiting = [.. _waiting];
            _waiting.Clear();
            return waiting;
        }
    }

    /// <summary>The id of a slot's next use: never use 0, which is no request's.</summary>
    internal static ulong NextId(ulong id) => id + (1UL << 32) is var next && next >> 32 != 0 ? next : next + (1UL << 32);

    /// <summary>Takes a call that was given up from its slot, which waits for the answer, or from those that wait. False when it has ended already.</summary>
    public bool TryAbandon(FabricCall call, out ulong id, out WaitingCall? waiting)
    {
        lock (_lock)
        {
            (id, waiting) = (call.Id, null);
            if (id == 0)
            {
                int index = _waiting.FindIndex(waits => waits.Call == call);
                waiting = index < 0 ? null : Unwait(index);
                return waiting is not null;
            }

            int slot = (int)(uint)id;
            if (_ids[slot] != id || _calls[slot] != call)
                return false;
            _calls[slot] = null;
            return true;
        }
    }

    /// <summary>Frees the slot of an answer. False when there is no such request; null for the call when nobody waits for it.</summary>
    public bool TryAnswer(ulong id, out FabricCall? call)
    {
        lock (_lock)
        {
            call = null;
            uint slot = (uint)id;
            if (slot >= (uint)_calls.Length || _ids[slot] != id || !_isUsed[slot])
                return false;
            call = _calls[slot];
            Free((int)slot);
            return true;
        }
    }

    /// <summary>Adds nothing more, and gives the calls that wait, to be failed.</summary>
    public List<FabricCall> Close(out int inFlight)
    {
        lock (_lock)
        {
            _closed = true;
            inFlight = _calls.Length - _freeCount;
            List<FabricCall> open = [.. _calls.OfType<FabricCall>()];
            Array.Clear(_calls);
            return open;
        }
    }

    private bool TryTake(FabricCall call, long bytes)
    {
        if (_closed || _freeCount == 0 || (_inFlightBytes > 0 && _inFlightBytes + bytes > _mostBytes))
            return false;
        int slot = _free[--_freeCount];
        ulong id = NextId(_ids[slot]);
        (_ids[slot], _calls[slot], _isUsed[slot], _bytes[slot]) = (id, call, true, bytes);
        _inFlightBytes += bytes;
        call.Id = id;
        return true;
    }

    private WaitingCall Unwait(int index)
    {
        WaitingCall waiting = _waiting[index];
        _waiting.RemoveAt(index);
        return waiting;
    }

    private void Free(int slot)
    {
        (_calls[slot], _isUsed[slot]) = (null, false);
        _inFlightBytes -= _bytes[slot];
        _free[_freeCount++] = slot;
    }
}
