using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>
/// Device memory for experts, in slots of one size, and the tables by which kernels find them: (layer, expert) → slot →
/// address. The first table changes in the order of the forward stream, so that a forward sees it as it was when it was
/// asked for. Its methods are called under the device's lock.
/// </summary>
internal sealed unsafe class ExpertSlab : IDisposable
{
    private const int None = -1;

    private readonly ExpertShape _shape;
    private readonly CudaStream _forwards;
    private readonly DisposableStack _owned = new();
    private readonly CudaDeviceVariable<byte> _memory;
    private readonly CudaDeviceVariable<int> _slotOf;
    private readonly CudaDeviceVariable<ulong> _addresses;
    private readonly SlotAllocator _slots;

    /// <summary>The first table as it is or will be on the device. A copy under way may take a newer value than it was started for, which then is right as well.</summary>
    private readonly CudaPageLockedHostMemory<int> _table;

    /// <param name="shape">The model's sizes.</param>
    /// <param name="slots">At least 1.</param>
    /// <param name="forwards">The stream that reads the experts.</param>
    /// <exception cref="CudaException">There is no memory for it.</exception>
    public ExpertSlab(ExpertShape shape, int slots, CudaStream forwards)
    {
        (_shape, _forwards) = (shape, forwards);
        int entries = shape.Layers * shape.Experts;
        try
        {
            _slots = _owned.Add(new SlotAllocator(slots));
            _memory = _owned.Add(new CudaDeviceVariable<byte>(slots * shape.SlotBytes));
            _slotOf = _owned.Add(new CudaDeviceVariable<int>(entries));
            _addresses = _owned.Add(new CudaDeviceVariable<ulong>(slots));
            _table = _owned.Add(new CudaPageLockedHostMemory<int>(entries));
            Table.Fill(None);
            _table.SynchronCopyToDevice(_slotOf.DevicePointer);
            _addresses.CopyToDevice([.. Enumerable.Range(0, slots).Select(slot => (ulong)Address(slot).Pointer)]);
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    /// <summary>int32 [layers][experts] in device memory.</summary>
    public CUdeviceptr SlotOf => _slotOf.DevicePointer;

    /// <summary>u64 [slots] in device memory.</summary>
    public CUdeviceptr SlotAddresses => _addresses.DevicePointer;

    /// <summary>Slots in use.</summary>
    public int Used => _slots.Used;

    private Span<int> Table => new((void*)_table.PinnedHostPointer, (int)_table.Size);

    public CUdeviceptr Address(int slot) => _memory.DevicePointer + (slot * _shape.SlotBytes);

    public bool Holds(int index) => Table[index] != None;

    /// <summary>A slot to load into; without one, the forwards that read one given up before, to wait for outside the lock.</summary>
    public bool TryTake(out int slot, out ISlotUse? awaited) => _slots.TryTake(out slot, out awaited);

    /// <summary>A slot into which nothing was loaded after all.</summary>
    public void GiveBack(int slot) => _slots.GiveBack(slot);

    /// <summary>Shows a loaded expert to the forwards from here on.</summary>
    public void Publish(int index, int slot) => Set(index, slot);

    /// <summary>Hides an expert from the forwards from here on; its slot is free when those before have ended.</summary>
    public void Withdraw(int index)
    {
        int slot = Table[index];
        Set(index, None);
        CudaEvent ended = new(CUEventFlags.BlockingSync | CUEventFlags.DisableTiming);
        ended.Record(_forwards.Stream);
        _slots.Retire(slot, new EventUse(ended));
    }

    public void Dispose() => _owned.Dispose();

    private void Set(int index, int slot)
    {
        Table[index] = slot;
        _table.AsyncCopyToDevice(_slotOf.DevicePointer, index * sizeof(int), index * sizeof(int), sizeof(int), _forwards.Stream);
    }

    private sealed class EventUse(CudaEvent ended) : ISlotUse
    {
        public bool HasEnded => ended.Query();

        public void Wait() => ended.Synchronize();

        public void Dispose() => ended.Dispose();
    }
}
