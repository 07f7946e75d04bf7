using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Compute;

/// <summary>
/// A path and a small pool of compute threads; every kernel is handed one. <see cref="Run{TWork}"/> allocates nothing. One
/// run at a time: callers on several threads wait for each other. Several pools may live in one process.
/// </summary>
public sealed unsafe class CpuCompute : IDisposable
{
    // One word says all that workers must know: bits 32.. the run's number, bit 31 open (parts may be left), bit 30 the
    // caller is parked, bits 0..29 how many workers are inside. A worker enters by compare-and-swap while the run is open,
    // so that a run ends without waiting for a worker that the scheduler has not woken yet.
    private const long Open = 1L << 31;
    private const long CallerParked = 1L << 30;
    private const long Inside = CallerParked - 1;
    private const int NumberShift = 32;

    /// <summary>Turns of 40 ns, some 80 µs: longer than the gap between two kernels of a step, far shorter than a time slice.</summary>
    private const int Spins = 2000;

    [ThreadStatic]
    private static CpuCompute? _current;

    // Not a Lock, which makes objects at its first contention.
    private readonly object _gate = new();
    private readonly SemaphoreSlim _wake = new(0);
    private readonly SemaphoreSlim _callerWake = new(0);
    private readonly Thread[] _workers;
    private readonly IReadOnlyList<int>? _cpus;
    private SharedWords _words;
    private void* _work;
    private delegate*<CpuCompute, void*, void> _execute;
    private int _parts;
    private Exception? _failure;
    private volatile bool _disposed;

    /// <param name="threads">How many threads compute, the caller of Run among them; at least 1.</param>
    /// <param name="path">The instruction set.</param>
    /// <param name="cpus">CPUs that the threads are bound to; null for any. The caller of Run binds itself: <see cref="BindThread"/>.</param>
    /// <exception cref="PlatformNotSupportedException">This process cannot run <paramref name="path"/>.</exception>
    public CpuCompute(int threads, CpuPath path, IReadOnlyList<int>? cpus = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(threads);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(threads, 4096);
        if (!CpuPaths.IsSupported(path))
            throw new PlatformNotSupportedException($"This processor or runtime does not support the {path} path; the best here is {CpuPaths.Best}.");

        Threads = threads;
        Path = path;
        _cpus = cpus;
        _workers = new Thread[threads - 1];
        for (int i = 0; i < _workers.Length; i++)
        {
            _workers[i] = new Thread(WorkerLoop) { IsBackground = true, Name = $"k2 compute {i + 1}" };
            _workers[i].Start();
        }
    }

    public int Threads { get; }

    public CpuPath Path { get; }

    /// <summary>Binds the calling thread to the CPUs of this pool, if it has any of its own; for threads that only work for it.</summary>
    public void BindThread()
    {
        if (_cpus is not null)
            CpuAffinity.Bind(_cpus);
    }

    /// <summary>Workers that wait for the next run in the system. For tests.</summary>
    internal int Parked => Volatile.Read(ref _words.Parked);

    /// <summary>
    /// Does parts 0..<paramref name="parts"/>−1 and returns when all are done. The calling thread takes part. From within a
    /// part, a nested run is done inline.
    /// </summary>
    /// <param name="work">The work; copied, so that its pointers and references are what must stay valid.</param>
    /// <param name="parts">How many parts there are.</param>
    /// <param name="small">The calling thread does it all: below some 5 µs of work, waking others costs more than it gives.</param>
    /// <exception cref="Exception">What a part threw; the parts not started by then are skipped.</exception>
    public void Run<TWork>(in TWork work, int parts, bool small = false)
        where TWork : struct, ICpuWork
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        TWork copy = work;
        if (small || parts <= 1 || _workers.Length == 0 || _current == this)
        {
            RunInline(ref copy, parts);
            return;
        }

        lock (_gate)
            RunShared(Unsafe.AsPointer(ref copy), &Execute<TWork>, parts);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        if (_workers.Length > 0)
            _wake.Release(_workers.Length);
        foreach (Thread worker in _workers)
            worker.Join();
        _wake.Dispose();
        _callerWake.Dispose();
    }

    private static void Execute<TWork>(CpuCompute compute, void* work)
        where TWork : struct, ICpuWork
    {
        ref TWork typed = ref Unsafe.AsRef<TWork>(work);
        int parts = compute._parts;
        for (int part = compute.NextPart(); part < parts; part = compute.NextPart())
            compute.DoPart(ref typed, part);
    }

    private int NextPart() => Interlocked.Increment(ref _words.NextPart) - 1;

    private void DoPart<TWork>(ref TWork work, int part)
        where TWork : struct, ICpuWork
    {
        switch (Path)
        {
            case CpuPath.Avx512:
                work.Part<Lanes512>(part);
                break;
            case CpuPath.Avx2:
                work.Part<Lanes256>(part);
                break;
            default:
                work.Part<LanesPortable>(part);
                break;
        }
    }

    private void RunInline<TWork>(ref TWork work, int parts)
        where TWork : struct, ICpuWork
    {
        for (int part = 0; part < parts; part++)
            DoPart(ref work, part);
    }

    private void RunShared(void* work, delegate*<CpuCompute, void*, void> execute, int parts)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _work = work;
        _execute = execute;
        _parts = parts;
        _words.NextPart = 0;
        _failure = null;
        long number = (Volatile.Read(ref _words.State) >> NumberShift) + 1;
        Interlocked.Exchange(ref _words.State, (number << NumberShift) | Open);
        int wanted = TakeParked(parts - 1);
        if (wanted > 0)
            _wake.Release(wanted);

        ExecuteGuarded();
        Interlocked.And(ref _words.State, ~Open);
        WaitForWorkers();
        if (_failure is { } failure)
            ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Counts workers no longer as parked that are to be woken: as many as there are, and no more than wanted.</summary>
    private int TakeParked(int wanted)
    {
        int parked = Volatile.Read(ref _words.Parked);
        while (parked > 0)
        {
            int taken = Math.Min(parked, wanted);
            int seen = Interlocked.CompareExchange(ref _words.Parked, parked - taken, parked);
            if (seen == parked)
                return taken;
            parked = seen;
        }

        return 0;
    }

    private void ExecuteGuarded()
    {
        // Not always null: a part of another pool's run may have called.
        CpuCompute? outer = _current;
        _current = this;
        try
        {
            _execute(this, _work);
        }
        catch (Exception exception)
        {
            Interlocked.CompareExchange(ref _failure, exception, null);
            Volatile.Write(ref _words.NextPart, _parts);
        }
        finally
        {
            _current = outer;
        }
    }

    private void WaitForWorkers()
    {
        for (int i = 0; i < Spins; i++)
        {
            if ((Volatile.Read(ref _words.State) & Inside) == 0)
                return;
            Thread.SpinWait(1);
        }

        // The worker that leaves last sees the mark and wakes the caller; when all had left already, nobody does.
        if ((Interlocked.Or(ref _words.State, CallerParked) & Inside) != 0)
            _callerWake.Wait();
    }

    private void WorkerLoop()
    {
        BindThread();
        long done = 0;
        while (true)
        {
            if (TryEnter(ref done))
            {
                ExecuteGuarded();
                long state = Interlocked.Decrement(ref _words.State);
                if ((state & CallerParked) != 0 && (state & Inside) == 0)
                    _callerWake.Release();
                continue;
            }

            if (_disposed)
                return;
            if (!SpinForRun(done))
                Park(done);
        }
    }

    private bool TryEnter(ref long done)
    {
        while (true)
        {
            long state = Volatile.Read(ref _words.State);
            if ((state & Open) == 0 || state >> NumberShift == done)
                return false;
            if (Interlocked.CompareExchange(ref _words.State, state + 1, state) != state)
                continue;
            done = state >> NumberShift;
            return true;
        }
    }

    private bool SpinForRun(long done)
    {
        for (int i = 0; i < Spins; i++)
        {
            if (HasRun(done) || _disposed)
                return true;
            Thread.SpinWait(1);
        }

        return false;
    }

    private void Park(long done)
    {
        // A run published before this increment is seen by the check below, one published after it sees the increment.
        Interlocked.Increment(ref _words.Parked);
        if ((HasRun(done) || _disposed) && TryTakeBackCount())
            return;
        _wake.Wait();
    }

    /// <summary>
    /// Counts a worker that turns back no longer as parked. False when a run has counted on it: its wake-up is there or on
    /// its way, and has to be taken, or it would keep a worker from parking later.
    /// </summary>
    private bool TryTakeBackCount() => TakeParked(1) == 1;

    private bool HasRun(long done)
    {
        long state = Volatile.Read(ref _words.State);
        return (state & Open) != 0 && state >> NumberShift != done;
    }

    /// <summary>What threads write while others spin: each on a cache line pair of its own.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 512)]
    private struct SharedWords
    {
        [FieldOffset(128)]
        public long State;

        [FieldOffset(256)]
        public int NextPart;

        [FieldOffset(384)]
        public int Parked;
    }
}
