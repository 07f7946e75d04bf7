using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>Logic on predicates. An operand's negation is a bit of <see cref="Instruction.Immediate"/>.</summary>
internal static unsafe class PredicateHandlers
{
    public static void Move(Warp warp, Instruction* instruction) => Lanes.PutPredicate(warp, instruction->D, A(warp, instruction));

    public static void Not(Warp warp, Instruction* instruction) => Lanes.PutPredicate(warp, instruction->D, ~A(warp, instruction));

    public static void And(Warp warp, Instruction* instruction) => Lanes.PutPredicate(warp, instruction->D, A(warp, instruction) & B(warp, instruction));

    public static void Or(Warp warp, Instruction* instruction) => Lanes.PutPredicate(warp, instruction->D, A(warp, instruction) | B(warp, instruction));

    public static void Xor(Warp warp, Instruction* instruction) => Lanes.PutPredicate(warp, instruction->D, A(warp, instruction) ^ B(warp, instruction));

    private static uint A(Warp warp, Instruction* instruction)
    {
        uint value = *(uint*)(warp.Registers + instruction->A);
        return (instruction->Immediate & 1) != 0 ? ~value : value;
    }

    private static uint B(Warp warp, Instruction* instruction)
    {
        uint value = *(uint*)(warp.Registers + instruction->B);
        return (instruction->Immediate & 2) != 0 ? ~value : value;
    }
}
