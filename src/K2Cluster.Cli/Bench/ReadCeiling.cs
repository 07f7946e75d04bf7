using System.Diagnostics;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Cli;

/// <summary>
/// How fast memory can be read here: the best of several loops (vectors of 256 and 512 bits, prefetch at several distances,
/// fewer threads than all). A kernel that reads its weights from memory cannot be faster; one that seems to be says that
/// a cache or the measurement is at fault.
/// </summary>
internal sealed unsafe class ReadCeiling : IDisposable
{
    private const int PartBytes = 1 << 20;

    /// <summary>What one turn of a loop reads.</summary>
    private const int LineBytes = 128;
    private const long Smallest = 512L << 20;

    private static readonly Loop[] Loops =
    [
        new(Wide: false, PrefetchBytes: 0),
        new(Wide: false, PrefetchBytes: 1024),
        new(Wide: false, PrefetchBytes: 4096),
        new(Wide: true, PrefetchBytes: 0),
        new(Wide: true, PrefetchBytes: 1024),
        new(Wide: true, PrefetchBytes: 4096),
    ];

    // The kernels' own kind of memory, page size and all.
    private readonly AlignedMemory _memory;
    private readonly long[] _sinks;
    private readonly CpuCompute[] _pools;
    private long _next;

    /// <param name="bytes">Of memory, or a part more.</param>
    /// <param name="threads">The most that read at once.</param>
    public ReadCeiling(long bytes, int threads)
    {
        int parts = checked((int)((bytes + PartBytes - 1) / PartBytes));
        _memory = new AlignedMemory((long)parts * PartBytes, zeroed: false);
        _sinks = new long[parts];
        _pools = [.. new[] { 1, threads / 2, threads }.Where(count => count > 0).Distinct().Select(count => new CpuCompute(count, CpuPaths.Best))];
        _pools[^1].Run(new TouchWork(_memory.Pointer), parts);
    }

    /// <summary>Bytes that no cache holds: four times the last level, and where that is not known enough for any.</summary>
    public static long BytesFor(MachineFacts machine) =>
        machine.LastLevelCacheBytes > 0 ? Math.Max(4 * machine.LastLevelCacheBytes, Smallest) : 2 * Smallest;

    public long Bytes => _memory.Bytes;

    /// <summary>The fastest that any loop has been, bytes a second; rises with <see cref="Measure"/>.</summary>
    public double BytesPerSecond { get; private set; }

    /// <summary>Which loop that was.</summary>
    public string Best { get; private set; } = "";

    /// <summary>Runs every loop over all of the memory once.</summary>
    public void Measure()
    {
        foreach (CpuCompute pool in _pools)
        {
            foreach (Loop loop in Loops)
            {
                if (loop.Wide && !Vector512.IsHardwareAccelerated)
                    continue;
                long started = Stopwatch.GetTimestamp();
                pool.Run(new ReadWork(_memory.Pointer, Bytes, _sinks, loop), _sinks.Length);
                double rate = Bytes / Stopwatch.GetElapsedTime(started).TotalSeconds;
                if (rate <= BytesPerSecond)
                    continue;
                BytesPerSecond = rate;
                Best = $"{(loop.Wide ? 512 : 256)} bits, prefetch {loop.PrefetchBytes}, {pool.Threads} threads";
            }
        }
    }

    /// <summary>Reads the next piece of the memory, for benchmarks that time it themselves.</summary>
    public void Read(CpuCompute compute, long bytes)
    {
        int parts = (int)Math.Min(_sinks.Length, (bytes + PartBytes - 1) / PartBytes);
        if (_next + parts > _sinks.Length)
            _next = 0;
        compute.Run(new ReadWork(_memory.Pointer + (_next * PartBytes), bytes, _sinks, Loops[0]), parts);
        _next += parts;
    }

    public void Dispose()
    {
        foreach (CpuCompute pool in _pools)
            pool.Dispose();
        _memory.Dispose();
    }

    private sealed record Loop(bool Wide, int PrefetchBytes);

    /// <summary>Pages get their memory from the thread that first writes to them.</summary>
    private readonly struct TouchWork(byte* memory) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => new Span<byte>(memory + ((long)part * PartBytes), PartBytes).Fill(1);
    }

    private readonly struct ReadWork(byte* memory, long bytes, long[] sinks, Loop loop) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            byte* from = memory + ((long)part * PartBytes);
            byte* end = from + (Math.Min(PartBytes, bytes - ((long)part * PartBytes)) & ~(LineBytes - 1));
            sinks[part] = loop.Wide ? Wide(from, end, loop.PrefetchBytes) : Narrow(from, end, loop.PrefetchBytes);
        }

        private static long Narrow(byte* from, byte* end, int ahead)
        {
            Vector256<long> a = default, b = default, c = default, d = default;
            for (; from < end; from += LineBytes)
            {
                Prefetch(from, ahead);
                a |= Vector256.Load((long*)from);
                b |= Vector256.Load((long*)(from + 32));
                c |= Vector256.Load((long*)(from + 64));
                d |= Vector256.Load((long*)(from + 96));
            }

            return (a | b | c | d).GetElement(0);
        }

        private static long Wide(byte* from, byte* end, int ahead)
        {
            Vector512<long> a = default, b = default;
            for (; from < end; from += LineBytes)
            {
                Prefetch(from, ahead);
                a |= Vector512.Load((long*)from);
                b |= Vector512.Load((long*)(from + 64));
            }

            return (a | b).GetElement(0);
        }

        private static void Prefetch(byte* from, int ahead)
        {
            if (ahead == 0 || !Sse.IsSupported)
                return;
            Sse.Prefetch0(from + ahead);
            Sse.Prefetch0(from + ahead + 64);
        }
    }
}
