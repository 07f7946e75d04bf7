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

    /// <summary>A slot that nobody reads; where all are used or retired, waits for the one that was retired first.</summary>
    /// <returns>False when every slot is used.</returns>
    public bool TryTake(out int slot)
    {
        while (_retired.TryPeek(out (int Slot, ISlotUse Use) oldest) && (_free.Count == 0 || oldest.Use.HasEnded))
        {
            if (_free.Count == 0)
                oldest.Use.Wait();
            _retired.Dequeue();
            oldest.Use.Dispose();
            _free.Push(oldest.Slot);
        }

        if (!_free.TryPop(out slot))
            return false;
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
