namespace K2Cluster.Fabric.Connections;

/// <summary>
/// The requests of a connection that wait for their answer. A slot is free again when the answer is there, also when nobody
/// waits for it any more: so the server never has more requests than there are slots. An id is (use of the slot, slot).
/// </summary>
internal sealed class CallSlots
{
    private readonly FabricCall?[] _calls;
    private readonly ulong[] _ids;
    private readonly bool[] _isUsed;
    private readonly int[] _free;
    private readonly Lock _lock = new();
    private int _freeCount;
    private bool _closed;

    public CallSlots(int count)
    {
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

    /// <summary>Gives a call an id. False when no slot is free, or the slots are closed.</summary>
    public bool TryAdd(FabricCall call, ClientConnection connection)
    {
        lock (_lock)
        {
            if (_closed || _freeCount == 0)
                return false;
            int slot = _free[--_freeCount];
            ulong id = _ids[slot] + (1UL << 32);
            (_ids[slot], _calls[slot], _isUsed[slot]) = (id, call, true);
            (call.Connection, call.Id) = (connection, id);
            return true;
        }
    }

    /// <summary>Takes back a call that was not sent. False when it was ended already, as the slots were closed.</summary>
    public bool TryRemove(FabricCall call, ulong id)
    {
        lock (_lock)
        {
            int slot = (int)(uint)id;
            if (_closed || _ids[slot] != id || _calls[slot] != call)
                return false;
            Free(slot);
            return true;
        }
    }

    /// <summary>Takes the call from its slot, which waits for the answer. False when the call has ended already.</summary>
    public bool TryAbandon(FabricCall call, ulong id)
    {
        lock (_lock)
        {
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

    private void Free(int slot)
    {
        (_calls[slot], _isUsed[slot]) = (null, false);
        _free[_freeCount++] = slot;
    }
}
