using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>The shapes of handlers: one to three operands, by pieces of vectors or lane by lane.</summary>
internal static unsafe class Handlers
{
    /// <summary>How setp joins its comparison with a predicate.</summary>
    public const int CombineAnd = 1;
    public const int CombineOr = 2;
    public const int CombineXor = 3;

    /// <summary>Flag beside a combination: the predicate is negated.</summary>
    public const int CombineNegated = 4;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Unary<T, TOperation>(Warp warp, Instruction* instruction)
        where T : unmanaged
        where TOperation : IUnary<T>
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < Lanes.Pieces<T>(); piece++)
            Lanes.Put(warp, registers + instruction->D, piece, TOperation.Apply(Lanes.Load<T>(registers + instruction->A, piece)));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Binary<T, TOperation>(Warp warp, Instruction* instruction)
        where T : unmanaged
        where TOperation : IBinary<T>
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < Lanes.Pieces<T>(); piece++)
        {
            Vector512<T> value = TOperation.Apply(Lanes.Load<T>(registers + instruction->A, piece), Lanes.Load<T>(registers + instruction->B, piece));
            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Ternary<T, TOperation>(Warp warp, Instruction* instruction)
        where T : unmanaged
        where TOperation : ITernary<T>
    {
        byte* registers = warp.Registers;
        for (int piece = 0; piece < Lanes.Pieces<T>(); piece++)
        {
            Vector512<T> value = TOperation.Apply(
                Lanes.Load<T>(registers + instruction->A, piece),
                Lanes.Load<T>(registers + instruction->B, piece),
                Lanes.Load<T>(registers + instruction->C, piece));
            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    /// <summary>setp: <c>p|q = compare(a, b) [and|or|xor c]</c>; q is the same with the comparison's negation.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Compare<T, TCompare>(Warp warp, Instruction* instruction)
        where T : unmanaged
        where TCompare : ICompare<T>
    {
        byte* registers = warp.Registers;
        uint result = 0;
        for (int piece = 0; piece < Lanes.Pieces<T>(); piece++)
        {
            Vector512<T> value = TCompare.Apply(Lanes.Load<T>(registers + instruction->A, piece), Lanes.Load<T>(registers + instruction->B, piece));
            result |= (uint)value.ExtractMostSignificantBits() << (Vector512<T>.Count * piece);
        }

        if (instruction->Immediate == 0 && instruction->D2 < 0)
        {
            Lanes.PutPredicate(warp, instruction->D, result);
            return;
        }

        PutCombined(warp, instruction, result);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Lane<TFrom, TTo, TOperation>(Warp warp, Instruction* instruction)
        where TFrom : unmanaged
        where TTo : unmanaged
        where TOperation : ILaneUnary<TFrom, TTo>
    {
        TFrom* a = (TFrom*)(warp.Registers + instruction->A);
        TTo* d = (TTo*)(warp.Registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(lanes);
            d[lane] = TOperation.Apply(a[lane]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LanePair<T, TOperation>(Warp warp, Instruction* instruction)
        where T : unmanaged
        where TOperation : ILaneBinary<T>
    {
        byte* registers = warp.Registers;
        T* a = (T*)(registers + instruction->A);
        T* b = (T*)(registers + instruction->B);
        T* d = (T*)(registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(lanes);
            d[lane] = TOperation.Apply(a[lane], b[lane]);
        }
    }

    /// <summary>div and rem of integers: a divisor of 0, whose result PTX leaves open, is a fault.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Division<T, TOperation>(Warp warp, Instruction* instruction)
        where T : unmanaged, IEquatable<T>
        where TOperation : ILaneBinary<T>
    {
        byte* registers = warp.Registers;
        T* a = (T*)(registers + instruction->A);
        T* b = (T*)(registers + instruction->B);
        T* d = (T*)(registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(lanes);
            if (b[lane].Equals(default))
                throw warp.Fault(PtxFaultKind.BadOperation, "division by zero", instruction, lane);
            d[lane] = TOperation.Apply(a[lane], b[lane]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void LaneTriple<T, TOperation>(Warp warp, Instruction* instruction)
        where T : unmanaged
        where TOperation : ILaneTernary<T>
    {
        byte* registers = warp.Registers;
        T* a = (T*)(registers + instruction->A);
        T* b = (T*)(registers + instruction->B);
        T* c = (T*)(registers + instruction->C);
        T* d = (T*)(registers + instruction->D);
        for (uint lanes = warp.Executing; lanes != 0; lanes &= lanes - 1)
        {
            int lane = System.Numerics.BitOperations.TrailingZeroCount(lanes);
            d[lane] = TOperation.Apply(a[lane], b[lane], c[lane]);
        }
    }

    /// <summary>selp: a where the predicate C is set, else b.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Select<T>(Warp warp, Instruction* instruction)
        where T : unmanaged
    {
        byte* registers = warp.Registers;
        uint chosen = *(uint*)(registers + instruction->C);
        if (instruction->Immediate != 0)
            chosen = ~chosen;
        for (int piece = 0; piece < Lanes.Pieces<T>(); piece++)
        {
            Vector512<T> value = Vector512.ConditionalSelect(
                Lanes.Mask<T>(chosen, piece), Lanes.Load<T>(registers + instruction->A, piece), Lanes.Load<T>(registers + instruction->B, piece));
            Lanes.Put(warp, registers + instruction->D, piece, value);
        }
    }

    private static void PutCombined(Warp warp, Instruction* instruction, uint result)
    {
        int combine = (int)instruction->Immediate;
        uint other = 0;
        if (combine != 0)
        {
            other = *(uint*)(warp.Registers + instruction->C);
            if ((combine & CombineNegated) != 0)
                other = ~other;
        }

        Lanes.PutPredicate(warp, instruction->D, Combined(combine & 3, result, other));
        if (instruction->D2 >= 0)
            Lanes.PutPredicate(warp, instruction->D2, Combined(combine & 3, ~result, other));
    }

    private static uint Combined(int combine, uint result, uint other) => combine switch
    {
        CombineAnd => result & other,
        CombineOr => result | other,
        CombineXor => result ^ other,
        _ => result,
    };
}
