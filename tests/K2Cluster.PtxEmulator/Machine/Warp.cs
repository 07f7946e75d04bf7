using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using K2Cluster.PtxEmulator.Memory;

namespace K2Cluster.PtxEmulator.Machine;

internal enum WarpState
{
    Ready,
    Waiting,
    Done,
}

/// <summary>
/// 32 lanes that run together. Lanes that a branch parts run one way, then the other, and meet again at the branch's
/// post-dominator, as compilers for real devices arrange it.
/// </summary>
internal sealed unsafe class Warp
{
    public const int MaxPerBlock = 32;

    private readonly DecodedKernel _kernel;
    private readonly Stack<(uint Lanes, int At, int Reconvergence)> _apart = new();

    /// <summary>For each tracked register: the lanes in which it was written.</summary>
    private readonly uint[] _written;
    private uint _active;
    private int _at;
    private int _reconvergence;

    public Warp(ThreadBlock block, DecodedKernel kernel, int number)
    {
        Block = block;
        Number = number;
        _kernel = kernel;
        _written = new uint[kernel.TrackedRegisters];
        Seen = new ulong[MaxPerBlock];
        Copies = new AsyncCopies(this);
        Registers = (byte*)NativeMemory.AlignedAlloc((nuint)kernel.RegisterBytes, 64);
        new ReadOnlySpan<byte>(kernel.Constants).CopyTo(new Span<byte>(Registers, kernel.RegisterBytes));
    }

    public ThreadBlock Block { get; }

    public int Number { get; }

    public byte* Registers { get; private set; }

    /// <summary>The lanes that execute the current instruction.</summary>
    public uint Executing { get; private set; }

    /// <summary>The lanes that have a thread.</summary>
    public uint Threads { get; private set; }

    public uint Exited { get; private set; }

    /// <summary>The lanes that have a thread which has not ended.</summary>
    public uint Alive => Threads & ~Exited;

    public WarpState State { get; set; }

    /// <summary>The instruction to run next; of a waiting warp, the one after its barrier.</summary>
    public int At => _at;

    public AsyncCopies Copies { get; }

    public DeviceAllocation? LastAllocation { get; set; }

    public DecodedKernel Kernel => _kernel;

    /// <summary>For each warp of the block: the latest barrier event after which this warp has seen that warp's accesses.</summary>
    public ulong[] Seen { get; }

    /// <summary>The least of <see cref="Seen"/>, from bit 32: what all warps did in events before it is ordered.</summary>
    public ulong SeenByAll { get; private set; }

    /// <summary>The event of this warp's last barrier, from bit 32.</summary>
    public ulong Event { get; private set; }

    /// <summary>Warp syncs since the last barrier (from bit 10) and this warp's number (from bit 5).</summary>
    public uint SyncStamp { get; private set; }

    public long Instructions { get; private set; }

    public long LaneInstructions { get; private set; }

    /// <summary>Begins a new block.</summary>
    public void Reset(int threads, int warps)
    {
        Threads = threads >= 32 ? uint.MaxValue : (1u << threads) - 1;
        Exited = 0;
        _active = Threads;
        _at = 0;
        _reconvergence = -1;
        _apart.Clear();
        State = WarpState.Ready;
        Array.Clear(_written);
        Copies.Reset();
        LastAllocation = null;
        Array.Fill(Seen, 1ul);
        SetEvent(1, warps);
        _kernel.FillSpecial(this);
    }

    /// <summary>A barrier event orders what was before; <see cref="Seen"/> is merged by the caller.</summary>
    public void SetEvent(ulong number, int warps)
    {
        Event = number << 32;
        Seen[Number] = number;
        SyncStamp = (uint)Number << 5;
        ulong least = ulong.MaxValue;
        for (int other = 0; other < warps; other++)
            least = Math.Min(least, Seen[other]);
        SeenByAll = least << 32;
    }

    /// <summary>bar.warp.sync orders what lanes of this warp did.</summary>
    public void SyncLanes() => SyncStamp += 1u << 10;

    public void Free()
    {
        NativeMemory.AlignedFree(Registers);
        Registers = null;
    }

    /// <summary>Runs until it waits, ends, or has run so many instructions.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Run(int instructions)
    {
        Instruction* code = _kernel.Code;
        byte* registers = Registers;
        long lanes = 0;
        int left = instructions;
        while (left > 0)
        {
            if (_at == _reconvergence)
            {
                Rejoin();
                continue;
            }

            Instruction* instruction = code + _at;
            uint executing = _active;
            if (instruction->Guard >= 0)
            {
                uint guard = *(uint*)(registers + instruction->Guard);
                executing &= instruction->GuardNegated ? ~guard : guard;
            }

            left--;
            lanes += BitOperations.PopCount(executing);
            if (instruction->Flow == Flow.None)
            {
                _at++;
                Executing = executing;
                if (instruction->Tracked)
                    RunTracked(instruction);
                else if (executing != 0)
                    instruction->Handler(this, instruction);
                continue;
            }

            Executing = executing;
            if (instruction->Tracked)
                CheckTracked(instruction);
            if (instruction->Flow == Flow.Branch)
            {
                if (executing == _active)
                    _at = instruction->Target;
                else if (executing == 0)
                    _at++;
                else
                    Part(instruction, executing);
                continue;
            }

            RunFlow(instruction);
            if (State != WarpState.Ready)
                break;
        }

        Instructions += instructions - left;
        LaneInstructions += lanes;
    }

    public PtxFaultException Fault(PtxFaultKind kind, string message, Instruction* instruction, int lane = -1, ulong address = 0)
    {
        Parsing.PtxStatement statement = _kernel.Kernel.Statements[instruction->Index];
        return new PtxFaultException(kind, message, _kernel.Kernel.Name, statement.Line, statement.Opcode, Block.Index, Number, lane, address);
    }

    /// <summary>An instruction of the whole warp: every lane that has not ended must be here.</summary>
    public void RequireConverged(Instruction* instruction)
    {
        if (Executing != Alive)
            throw Fault(PtxFaultKind.Divergence, $"lanes 0x{Alive & ~Executing:x8} are elsewhere", instruction);
    }

    /// <summary>An instruction of the lanes that a mask names: the executing lanes are among them, and all of them are here.</summary>
    public void RequireMembers(Instruction* instruction, uint members)
    {
        if ((Executing & ~members) != 0)
            throw Fault(PtxFaultKind.Divergence, $"lanes 0x{Executing & ~members:x8} execute it but are not in its mask 0x{members:x8}", instruction);
        if ((members & Alive & ~Executing) != 0)
            throw Fault(PtxFaultKind.Divergence, $"lanes 0x{members & Alive & ~Executing:x8} of its mask 0x{members:x8} are elsewhere", instruction);
    }

    private void RunFlow(Instruction* instruction)
    {
        switch (instruction->Flow)
        {
            case Flow.Return:
                _at++;
                if (Executing == 0)
                    return;
                Exited |= Executing;
                _active &= ~Executing;
                if (_active == 0)
                    Rejoin();
                break;
            case Flow.Trap:
                if (Executing != 0)
                    throw Fault(PtxFaultKind.BadOperation, "trap", instruction, BitOperations.TrailingZeroCount(Executing));
                _at++;
                break;
            default:
                _at++;
                if (Executing == 0)
                    return;
                RequireConverged(instruction);
                Block.Arrive(this, instruction);
                break;
        }
    }

    /// <summary>Some lanes take the branch: they run first, the others after, up to where both meet.</summary>
    private void Part(Instruction* instruction, uint taken)
    {
        int meet = instruction->Reconvergence;
        uint stay = _active & ~taken;
        int next = _at + 1;
        // Where the meeting place is the one these lanes go to anyway, whoever waits there waits for all of them.
        if (meet != _reconvergence)
            _apart.Push((_active, meet, _reconvergence));
        if (next != meet)
            _apart.Push((stay, next, meet));
        if (instruction->Target != meet)
            _apart.Push((taken, instruction->Target, meet));
        Pop();
    }

    /// <summary>The lanes that ran are where they wait for others, or have ended: go on with the latest that were put aside.</summary>
    private void Rejoin()
    {
        if (_apart.Count == 0)
        {
            _active = 0;
            State = WarpState.Done;
            return;
        }

        Pop();
    }

    private void Pop()
    {
        while (_apart.TryPop(out (uint Lanes, int At, int Reconvergence) next))
        {
            _active = next.Lanes & ~Exited;
            _at = next.At;
            _reconvergence = next.Reconvergence;
            if (_active != 0)
                return;
        }

        State = WarpState.Done;
    }

    private void RunTracked(Instruction* instruction)
    {
        CheckTracked(instruction);
        if (Executing == 0)
            return;
        instruction->Handler(this, instruction);
        Tracking tracking = _kernel.Tracking[instruction->Index]!;
        if (tracking.IsCopy)
        {
            foreach (int target in tracking.Writes)
            {
                uint written = tracking.Reads.Length == 0 ? uint.MaxValue : _written[tracking.Reads[0]];
                _written[target] = (_written[target] & ~Executing) | (written & Executing);
            }

            return;
        }

        foreach (int target in tracking.Writes)
            _written[target] |= Executing;
    }

    private void CheckTracked(Instruction* instruction)
    {
        Tracking tracking = _kernel.Tracking[instruction->Index]!;
        // A guard is read by all active lanes.
        if (tracking.Guard >= 0 && (_active & ~_written[tracking.Guard]) is not 0 and uint unknown)
            throw Fault(PtxFaultKind.Uninitialised, $"{_kernel.TrackedNames[tracking.Guard]} was not written", instruction, BitOperations.TrailingZeroCount(unknown));
        if (tracking.IsCopy)
            return;
        foreach (int source in tracking.Reads)
        {
            uint missing = Executing & ~_written[source];
            if (missing != 0)
                throw Fault(PtxFaultKind.Uninitialised, $"{_kernel.TrackedNames[source]} was not written", instruction, BitOperations.TrailingZeroCount(missing));
        }
    }
}
