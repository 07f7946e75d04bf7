using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Tests.Compute;

public sealed class CpuComputeTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void Each_part_is_done_once_in_every_of_many_runs(int threads)
    {
        using CpuCompute compute = new(threads, CpuPath.Portable);
        for (int run = 0; run < 3000; run++)
        {
            int parts = run % 17;
            int[] counts = new int[parts];
            compute.Run(new Count(counts), parts);
            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void Parts_run_on_the_pools_threads()
    {
        using CpuCompute compute = new(2, CpuPath.Portable);
        using Barrier both = new(2);
        int[] threads = new int[2];

        // Neither part can end before the other has begun.
        compute.Run(new Meet(both, threads), 2);
        Assert.NotEqual(threads[0], threads[1]);
    }

    [Fact]
    public void Callers_on_several_threads_take_turns()
    {
        using CpuCompute compute = new(3, CpuPaths.Best);
        int[] total = new int[1];
        Parallel.For(0, 4, _ =>
        {
            for (int run = 0; run < 500; run++)
            {
                int[] counts = new int[5];
                compute.Run(new Count(counts), counts.Length);
                Interlocked.Add(ref total[0], counts.Sum());
            }
        });
        Assert.Equal(4 * 500 * 5, total[0]);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void What_a_part_throws_reaches_the_caller_and_the_pool_lives_on(int threads)
    {
        using CpuCompute compute = new(threads, CpuPath.Portable);
        for (int bad = 0; bad < 6; bad++)
        {
            InvalidDataException thrown = Assert.Throws<InvalidDataException>(() => compute.Run(new Throw(bad), 6));
            Assert.Equal($"part {bad}", thrown.Message);
            int[] counts = new int[6];
            compute.Run(new Count(counts), 6);
            Assert.All(counts, count => Assert.Equal(1, count));
        }
    }

    [Fact]
    public void A_run_within_a_part_is_done_inline()
    {
        using CpuCompute compute = new(2, CpuPath.Portable);
        int[] counts = new int[12];
        compute.Run(new Nested(compute, counts), 3);
        Assert.All(counts, count => Assert.Equal(1, count));
    }

    [Fact]
    public void A_run_within_a_part_is_done_inline_after_another_pools_run_too()
    {
        using CpuCompute compute = new(2, CpuPath.Portable);
        using CpuCompute other = new(2, CpuPath.Portable);
        int[] counts = new int[12];
        int[] others = new int[12];
        compute.Run(new NestedTwice(compute, counts, other, others), 3);
        Assert.All(counts, count => Assert.Equal(1, count));
        Assert.All(others, count => Assert.Equal(1, count));
    }

    [Fact]
    public void A_run_allocates_nothing()
    {
        using CpuCompute compute = new(2, CpuPaths.Best);
        int[] counts = new int[8];
        Count work = new(counts);
        for (int i = 0; i < 10; i++)
            compute.Run(work, 8);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            compute.Run(work, 8);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Fact]
    public void A_run_allocates_nothing_even_where_worker_and_caller_park_for_the_first_time()
    {
        // Of the first pool, code is compiled; each pool parks for the first time.
        for (int pool = 0; pool < 3; pool++)
        {
            using CpuCompute compute = new(2, CpuPath.Portable);
            int[] begun = new int[2];
            Until(() => compute.Parked == 1);
            long before = GC.GetAllocatedBytesForCurrentThread();
            compute.Run(new Park(Thread.CurrentThread, begun), 2);
            long after = GC.GetAllocatedBytesForCurrentThread();
            Assert.Equal(pool > 0 ? before : after, after);
            Assert.Equal([1, 1], begun);
        }
    }

    [Fact]
    public async Task A_run_that_first_waits_for_another_callers_allocates_nothing()
    {
        for (int pool = 0; pool < 3; pool++)
        {
            using CpuCompute compute = new(2, CpuPath.Portable);
            using CpuCompute other = new(2, CpuPath.Portable);
            using Barrier inside = new(3);
            int[] counts = new int[4];
            long allocated = -1;
            Thread second = new(() =>
            {
                other.Run(new Count(new int[4]), 4); // what a thread itself costs once
                long before = GC.GetAllocatedBytesForCurrentThread();
                compute.Run(new Count(counts), 4);
                allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            });
            Task first = Task.Factory.StartNew(() => compute.Run(new Hold(inside, second), 2), TaskCreationOptions.LongRunning);
            Assert.True(inside.SignalAndWait(TimeSpan.FromSeconds(60)));
            second.Start();
            await first;
            second.Join();
            Assert.Equal([1, 1, 1, 1], counts);
            Assert.Equal(0, pool > 0 ? allocated : 0);
        }
    }

    [Fact]
    public void Workers_that_a_run_keeps_from_parking_are_not_counted_as_parked()
    {
        using CpuCompute compute = new(3, CpuPath.Portable);
        int[] counts = new int[2];
        for (int run = 0; run < 20_000; run++)
        {
            compute.Run(new Count(counts), 2);
            // Gaps about as long as a worker spins, so that it is about to park when the next run comes.
            for (int turn = 0; turn < 1500 + (run % 1000); turn++)
                Thread.SpinWait(1);
            Assert.InRange(compute.Parked, 0, 2);
        }

        Until(() => compute.Parked == 2);
    }

    [Fact]
    public void The_lanes_are_those_of_the_path()
    {
        foreach (CpuPath path in Samples.Paths)
        {
            using CpuCompute compute = new(2, path);
            Type[] lanes = new Type[3];
            compute.Run(new Which(lanes), 3);
            Type expected = path switch
            {
                CpuPath.Avx512 => typeof(Lanes512),
                CpuPath.Avx2 => typeof(Lanes256),
                _ => typeof(LanesPortable),
            };
            Assert.All(lanes, type => Assert.Equal(expected, type));
        }
    }

    [Fact]
    public void A_disposed_pool_refuses_work()
    {
        CpuCompute compute = new(3, CpuPath.Portable);
        compute.Run(new Count(new int[4]), 4);
        compute.Dispose();
        compute.Dispose();
        Assert.Throws<ObjectDisposedException>(() => compute.Run(new Count(new int[4]), 4));
    }

    [Fact]
    public void A_path_that_the_machine_lacks_is_refused()
    {
        Assert.Throws<PlatformNotSupportedException>(() => new CpuCompute(1, (CpuPath)99));
        Assert.True(CpuPaths.IsSupported(CpuPaths.Best));
        Assert.True(CpuPaths.IsSupported(CpuPath.Portable));
    }

    private static void Until(Func<bool> condition)
    {
        long start = Environment.TickCount64;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 - start < 60_000, "This did not come about in a minute.");
            Thread.Yield();
        }
    }

    /// <summary>The caller's part waits for the worker's to begin, the worker's until the caller waits in the system.</summary>
    private readonly struct Park(Thread caller, int[] begun) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            bool isCaller = Thread.CurrentThread == caller;
            Volatile.Write(ref begun[isCaller ? 0 : 1], 1);
            while (isCaller ? Volatile.Read(ref begun[1]) == 0 : (caller.ThreadState & ThreadState.WaitSleepJoin) == 0)
                Thread.Yield();
        }
    }

    /// <summary>Holds the pool until the other caller waits in the system.</summary>
    private readonly struct Hold(Barrier inside, Thread other) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            Assert.True(inside.SignalAndWait(TimeSpan.FromSeconds(60)));
            while ((other.ThreadState & ThreadState.WaitSleepJoin) == 0)
                Thread.Yield();
        }
    }

    private readonly struct Count(int[] counts) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => Interlocked.Increment(ref counts[part]);
    }

    private readonly struct Meet(Barrier both, int[] threads) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            Assert.True(both.SignalAndWait(TimeSpan.FromSeconds(60)));
            threads[part] = Environment.CurrentManagedThreadId;
        }
    }

    private readonly struct Throw(int bad) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            if (part == bad)
                throw new InvalidDataException($"part {part}");
        }
    }

    private readonly struct Nested(CpuCompute compute, int[] counts) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => compute.Run(new Slice(counts, part * 4), 4);
    }

    private readonly struct NestedTwice(CpuCompute compute, int[] counts, CpuCompute other, int[] others) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            other.Run(new Slice(others, part * 4), 4);
            compute.Run(new Slice(counts, part * 4), 4);
        }
    }

    private readonly struct Slice(int[] counts, int first) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => Interlocked.Increment(ref counts[first + part]);
    }

    private readonly struct Which(Type[] lanes) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => lanes[part] = typeof(TLanes);
    }
}
