using K2Cluster.PtxEmulator.Memory;

namespace K2Cluster.PtxEmulator.Machine;

/// <summary>One block of threads: its warps in turn, its shared memory, its barriers. Used again for block after block.</summary>
internal sealed unsafe class ThreadBlock : IDisposable
{
    private const int Slice = 4096;
    private const int BarrierCount = 16;

    private readonly DecodedKernel _kernel;
    private readonly List<Warp> _warps = [];
    private readonly Barrier[] _barriers = [.. Enumerable.Range(0, BarrierCount).Select(_ => new Barrier())];
    private int _warpCount;
    private ulong _event;

    public ThreadBlock(DecodedKernel kernel) => _kernel = kernel;

    public DecodedKernel Kernel => _kernel;

    public SharedMemory Shared { get; } = new();

    public DeviceMemory Memory { get; private set; } = null!;

    /// <summary>Of the launch, in the maps of device memory.</summary>
    public byte Stamp { get; private set; }

    public byte* Parameters { get; private set; }

    public LaunchShape Shape { get; private set; }

    /// <summary>x fastest.</summary>
    public int Index { get; private set; }

    public (int X, int Y, int Z) Place { get; private set; }

    public int SharedBytes { get; private set; }

    /// <summary>Set for a whole launch.</summary>
    public void Begin(DeviceMemory memory, byte stamp, byte* parameters, LaunchShape shape, int sharedBytes)
    {
        Memory = memory;
        Stamp = stamp;
        Parameters = parameters;
        Shape = shape;
        SharedBytes = sharedBytes;
        _warpCount = (int)((shape.Block.Count + 31) / 32);
        while (_warps.Count < _warpCount)
            _warps.Add(new Warp(this, _kernel, _warps.Count));
    }

    /// <summary>Runs one block to its end.</summary>
    /// <param name="index">x fastest.</param>
    /// <param name="check">Race and initialisation checks of shared memory.</param>
    /// <param name="budget">Takes what was executed; throws when there is too much.</param>
    public void Run(int index, bool check, LaunchBudget budget)
    {
        Index = index;
        Place = (index % Shape.Grid.X, index / Shape.Grid.X % Shape.Grid.Y, index / Shape.Grid.X / Shape.Grid.Y);
        _event = 1;
        Shared.Reset(SharedBytes, _kernel.SharedGranule, check);
        foreach (Barrier barrier in _barriers)
            barrier.Reset();
        int threads = (int)Shape.Block.Count;
        for (int i = 0; i < _warpCount; i++)
            _warps[i].Reset(threads - (32 * i), _warpCount);
        while (true)
        {
            bool ran = false;
            bool left = false;
            for (int i = 0; i < _warpCount; i++)
            {
                Warp warp = _warps[i];
                if (warp.State == WarpState.Ready)
                {
                    (long instructions, long lanes) = (warp.Instructions, warp.LaneInstructions);
                    warp.Run(Slice);
                    budget.Take(warp, warp.Instructions - instructions, warp.LaneInstructions - lanes);
                    ran = true;
                }

                left |= warp.State != WarpState.Done;
            }

            if (!left)
                return;
            if (!ran)
                throw Deadlock();
        }
    }

    /// <summary>A warp comes to a barrier: instruction A is its number, B its count of threads (or -1).</summary>
    public void Arrive(Warp warp, Instruction* instruction)
    {
        uint number = Uniform(warp, instruction, instruction->A);
        if (number >= BarrierCount)
            throw warp.Fault(PtxFaultKind.BadOperation, $"there is no barrier {number}", instruction);
        uint all = (uint)(_warpCount * 32);
        uint count = instruction->B < 0 ? all : Uniform(warp, instruction, instruction->B);
        if (count == 0 || count % 32 != 0 || count > all)
            throw warp.Fault(PtxFaultKind.BadOperation, $"barrier {number} for {count} threads in a block of {all}", instruction);
        Barrier barrier = _barriers[number];
        if (barrier.Expected != 0 && barrier.Expected != count)
            throw warp.Fault(PtxFaultKind.BadOperation, $"barrier {number} for {count} threads, where others wait for {barrier.Expected}", instruction);
        if (barrier.Participants.Contains(warp))
            throw warp.Fault(PtxFaultKind.BadOperation, $"barrier {number}: the warp arrives again before the others came", instruction);
        barrier.Expected = (int)count;
        barrier.Arrived += 32;
        barrier.Participants.Add(warp);
        if (instruction->Flow == Flow.Barrier)
        {
            warp.State = WarpState.Waiting;
            barrier.Waiting.Add(warp);
        }
        else
        {
            Pass(warp, barrier);
        }

        if (barrier.Arrived == barrier.Expected)
            Complete(barrier);
    }

    public void Dispose()
    {
        foreach (Warp warp in _warps)
            warp.Free();
        _warps.Clear();
        Shared.Dispose();
    }

    /// <summary>A warp arrives and does not wait: what it does from now on is after this event, and not what the barrier passes on.</summary>
    private void Pass(Warp warp, Barrier barrier)
    {
        warp.SetEvent(++_event, _warpCount);
        for (int other = 0; other < _warpCount; other++)
            barrier.Passed[other] = Math.Max(barrier.Passed[other], warp.Seen[other]);
    }

    /// <summary>All have come: each that waited has now seen what any of them has seen, and what any of them did.</summary>
    private void Complete(Barrier barrier)
    {
        _event++;
        Span<ulong> seen = stackalloc ulong[Warp.MaxPerBlock];
        barrier.Passed.CopyTo(seen);
        foreach (Warp warp in barrier.Waiting)
        {
            for (int other = 0; other < _warpCount; other++)
                seen[other] = Math.Max(seen[other], warp.Seen[other]);
        }

        foreach (Warp warp in barrier.Waiting)
            seen[warp.Number] = _event;
        foreach (Warp warp in barrier.Waiting)
        {
            seen.CopyTo(warp.Seen);
            warp.SetEvent(_event, _warpCount);
            warp.State = WarpState.Ready;
        }

        barrier.Reset();
    }

    private static uint Uniform(Warp warp, Instruction* instruction, int offset)
    {
        uint* lanes = (uint*)(warp.Registers + offset);
        int first = System.Numerics.BitOperations.TrailingZeroCount(warp.Executing);
        for (uint rest = warp.Executing; rest != 0; rest &= rest - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(rest);
            if (lanes[lane] != lanes[first])
                throw warp.Fault(PtxFaultKind.Divergence, $"lanes name different barriers or counts: {lanes[first]} and {lanes[lane]}", instruction, lane);
        }

        return lanes[first];
    }

    private PtxFaultException Deadlock()
    {
        List<string> where = [];
        Warp? waiting = null;
        for (int i = 0; i < _warpCount; i++)
        {
            Warp warp = _warps[i];
            if (warp.State == WarpState.Done)
            {
                where.Add($"warp {i} has ended");
                continue;
            }

            waiting ??= warp;
            where.Add($"warp {i} waits at line {_kernel.Kernel.Statements[warp.At - 1].Line}");
        }

        Parsing.PtxStatement statement = _kernel.Kernel.Statements[waiting!.At - 1];
        return new PtxFaultException(PtxFaultKind.Deadlock, $"a barrier is never met: {string.Join(", ", where)}", _kernel.Kernel.Name, statement.Line, statement.Opcode, Index, waiting.Number);
    }
}
