using System.Numerics;
using System.Runtime.CompilerServices;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>Instructions by which lanes of a warp see each other.</summary>
internal static unsafe class WarpHandlers
{
    public const int ShuffleUp = 0;
    public const int ShuffleDown = 1;
    public const int ShuffleButterfly = 2;
    public const int ShuffleIndex = 3;

    public const int VoteAll = 0;
    public const int VoteAny = 1;
    public const int VoteUniform = 2;
    public const int VoteBallot = 3;

    /// <summary>bar.warp.sync.</summary>
    public static void Synchronise(Warp warp, Instruction* instruction)
    {
        Members(warp, instruction, instruction->A);
        warp.SyncLanes();
    }

    /// <summary>shfl.sync d|p, a, b, c, mask: the mode in Elements, the mask in Vector's place.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Shuffle(Warp warp, Instruction* instruction)
    {
        Members(warp, instruction, instruction->Vector);
        byte* registers = warp.Registers;
        uint* a = (uint*)(registers + instruction->A);
        uint* b = (uint*)(registers + instruction->B);
        uint* c = (uint*)(registers + instruction->C);
        uint* d = (uint*)(registers + instruction->D);
        uint* result = stackalloc uint[Lanes.Count];
        uint valid = 0;
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            int by = (int)(b[lane] & 31);
            int segment = (int)(c[lane] >> 8) & 31;
            int most = (lane & segment) | ((int)c[lane] & 31 & ~segment);
            int least = lane & segment;
            int from = instruction->Elements switch
            {
                ShuffleUp => lane - by,
                ShuffleDown => lane + by,
                ShuffleButterfly => lane ^ by,
                _ => least | (by & ~segment),
            };
            // For .up the clamp is the lowest lane of the segment.
            bool within = instruction->Elements == ShuffleUp ? from >= most : from <= most;
            if (within)
                valid |= 1u << lane;
            else
                from = lane;
            if ((warp.Executing >> from & 1) == 0)
                throw warp.Fault(PtxFaultKind.Divergence, $"reads from lane {from}, which does not execute it", instruction, lane);
            result[lane] = a[from];
        }

        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            d[lane] = result[lane];
        }

        if (instruction->D2 >= 0)
            Lanes.PutPredicate(warp, instruction->D2, valid);
    }

    /// <summary>vote.sync: the predicate A (negated where Immediate is 1) over the lanes of the mask B.</summary>
    public static void Vote(Warp warp, Instruction* instruction)
    {
        Members(warp, instruction, instruction->B);
        uint predicate = *(uint*)(warp.Registers + instruction->A);
        if (instruction->Immediate != 0)
            predicate = ~predicate;
        predicate &= warp.Executing;
        switch (instruction->Elements)
        {
            case VoteAll:
                Lanes.PutPredicate(warp, instruction->D, predicate == warp.Executing ? uint.MaxValue : 0);
                break;
            case VoteAny:
                Lanes.PutPredicate(warp, instruction->D, predicate != 0 ? uint.MaxValue : 0);
                break;
            case VoteUniform:
                Lanes.PutPredicate(warp, instruction->D, predicate == 0 || predicate == warp.Executing ? uint.MaxValue : 0);
                break;
            default:
                PutAll(warp, instruction->D, predicate);
                break;
        }
    }

    public static void ActiveMask(Warp warp, Instruction* instruction) => PutAll(warp, instruction->D, warp.Executing);

    /// <summary>match.any.sync.b32: for each lane the lanes whose value equals its own.</summary>
    public static void MatchAny(Warp warp, Instruction* instruction)
    {
        Members(warp, instruction, instruction->B);
        uint* a = (uint*)(warp.Registers + instruction->A);
        uint* d = (uint*)(warp.Registers + instruction->D);
        uint* result = stackalloc uint[Lanes.Count];
        for (int lane = 0; lane < Lanes.Count; lane++)
        {
            result[lane] = 0;
            for (uint others = warp.Executing; others != 0; others &= others - 1)
            {
                int other = BitOperations.TrailingZeroCount(others);
                if (a[other] == a[lane])
                    result[lane] |= 1u << other;
            }
        }

        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = BitOperations.TrailingZeroCount(lanes);
            d[lane] = result[lane];
        }
    }

    /// <summary>redux.sync: Elements as <see cref="AtomicOperation"/>, Immediate 1 where signed.</summary>
    public static void Reduce(Warp warp, Instruction* instruction)
    {
        Members(warp, instruction, instruction->B);
        uint* a = (uint*)(warp.Registers + instruction->A);
        bool signed = instruction->Immediate != 0;
        uint result = a[BitOperations.TrailingZeroCount(warp.Executing)];
        for (uint lanes = warp.Executing & (warp.Executing - 1); lanes != 0; lanes &= lanes - 1)
        {
            uint value = a[BitOperations.TrailingZeroCount(lanes)];
            result = (AtomicOperation)instruction->Elements switch
            {
                AtomicOperation.Add => result + value,
                AtomicOperation.Minimum => signed ? (uint)Math.Min((int)result, (int)value) : Math.Min(result, value),
                AtomicOperation.Maximum => signed ? (uint)Math.Max((int)result, (int)value) : Math.Max(result, value),
                AtomicOperation.And => result & value,
                AtomicOperation.Or => result | value,
                _ => result ^ value,
            };
        }

        PutAll(warp, instruction->D, result);
    }

    private static void PutAll(Warp warp, int offset, uint value)
    {
        for (int piece = 0; piece < 2; piece++)
            Lanes.Put(warp, warp.Registers + offset, piece, System.Runtime.Intrinsics.Vector512.Create(value));
    }

    private static void Members(Warp warp, Instruction* instruction, int offset)
    {
        uint* masks = (uint*)(warp.Registers + offset);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
            warp.RequireMembers(instruction, masks[BitOperations.TrailingZeroCount(lanes)]);
    }
}
