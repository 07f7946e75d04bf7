using K2Cluster.Cuda.Device;

namespace K2Cluster.Cuda.Tests.Device;

public sealed class SlotAllocatorTests
{
    [Fact]
    public void Every_slot_is_given_once_and_then_none()
    {
        using SlotAllocator slots = new(3);
        Assert.Equal([0, 1, 2], Enumerable.Range(0, 3).Select(_ => Take(slots)));
        Assert.False(slots.TryTake(out _, out ISlotUse? awaited));
        Assert.Null(awaited);
        Assert.Equal(3, slots.Used);

        slots.GiveBack(1);
        Assert.Equal(2, slots.Used);
        Assert.Equal(1, Take(slots));
    }

    [Fact]
    public void A_slot_that_a_forward_may_read_is_taken_last_and_only_when_that_has_ended()
    {
        using SlotAllocator slots = new(2);
        Use use = new();
        slots.Retire(Take(slots), use);
        Assert.Equal(1, Take(slots)); // the one that nobody reads

        Assert.False(slots.TryTake(out _, out ISlotUse? awaited));
        Assert.Equal((use, 0, false), (awaited, use.Waits, use.IsDisposed));
        use.Wait();
        Assert.Equal(0, Take(slots));
        Assert.True(use.IsDisposed);
    }

    [Fact]
    public void A_slot_whose_forwards_have_ended_is_free_without_a_wait()
    {
        using SlotAllocator slots = new(1);
        Use use = new() { HasEnded = true };
        slots.Retire(Take(slots), use);
        Assert.Equal(0, Take(slots));
        Assert.Equal((0, true), (use.Waits, use.IsDisposed));
    }

    [Fact]
    public void What_it_waits_for_is_let_go_at_the_end()
    {
        Use use = new();
        using (SlotAllocator slots = new(1))
            slots.Retire(Take(slots), use);
        Assert.Equal((0, true), (use.Waits, use.IsDisposed));
    }

    private static int Take(SlotAllocator slots)
    {
        Assert.True(slots.TryTake(out int slot, out _));
        return slot;
    }

    private sealed class Use : ISlotUse
    {
        public bool HasEnded { get; set; }

        public int Waits { get; private set; }

        public bool IsDisposed { get; private set; }

        public void Wait()
        {
            Waits++;
            HasEnded = true;
        }

        public void Dispose() => IsDisposed = true;
    }
}
