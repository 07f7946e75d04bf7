namespace K2Cluster.Cuda.Device;

/// <summary>
/// The slots of the slab that are free, and those that will be when the forwards that may still read them have ended. Not
/// thread-safe.
/// </summary>
/// <param name="slots">How many there are.</param>
internal sealed class SlotAllocator(int slots) : IDisposable
{
    private readonly Stack<int> _free = new(Enumerable.Range(0, slots).Reverse());
    private readonly Queue<(int Slot, ISlotUse Use)> _retired = new();

    /// <summary>Slots taken and neither given back nor retired.</summary>
    public int Used { get; private set; }

    /// <summary>A slot that nobody reads. Never waits.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="awaited">Without a slot: what to wait for before asking again; null when every slot is used.</param>
    /// <returns>Whether there is one.</returns>
    public bool TryTake(out int slot, out ISlotUse? awaited)
    {
        while (_retired.TryPeek(out (int Slot, ISlotUse Use) oldest) && oldest.Use.HasEnded)
        {
            _retired.Dequeue();
            oldest.Use.Dispose();
            _free.Push(oldest.Slot);
        }

        awaited = null;
        if (!_free.TryPop(out slot))
        {
            awaited = _retired.TryPeek(out (int Slot, ISlotUse Use) first) ? first.Use : null;
            return false;
        }

        Used++;
        return true;
    }

    /// <summary>Gives back a slot that nobody reads.</summary>
    public void GiveBack(int slot)
    {
        Used--;
        _free.Push(slot);
    }

    /// <summary>Gives back a slot that is read until <paramref name="use"/> ends.</summary>
    public void Retire(int slot, ISlotUse use)
    {
        Used--;
        _retired.Enqueue((slot, use));
    }

    public void Dispose()
    {
        while (_retired.TryDequeue(out (int Slot, ISlotUse Use) retired))
            retired.Use.Dispose();
    }
}
