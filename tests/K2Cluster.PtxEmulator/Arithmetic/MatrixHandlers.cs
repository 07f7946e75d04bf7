using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>
/// mma.sync.m16n8k16 (and k8) with FP32 accumulators. PTX leaves the order of the sum open; here each element is a chain of fused
/// multiply-adds in FP32, k ascending, that begins with C. Products of two BF16 or two F16 are exact in it.
/// </summary>
internal static unsafe class MatrixHandlers
{
    private const int Columns = 8;

    /// <summary>BF16: vector of D (4), A (4), B (2), C (4).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Bf16K16(Warp warp, Instruction* instruction)
    {
        warp.RequireConverged(instruction);
        byte* registers = warp.Registers;
        int[] vectors = warp.Kernel.Vectors;
        int at = instruction->Vector;
        // B by k: the even columns, then the odd ones, as a quad of lanes holds them.
        float* b = stackalloc float[16 * Columns];
        SpreadB((uint*)(registers + vectors[at + 8]), b);
        SpreadB((uint*)(registers + vectors[at + 9]), b + (8 * Columns));
        for (int piece = 0; piece < 2; piece++)
        {
            Vector512<float> d0 = Lanes.Load<float>(registers + vectors[at + 10], piece);
            Vector512<float> d1 = Lanes.Load<float>(registers + vectors[at + 11], piece);
            Vector512<float> d2 = Lanes.Load<float>(registers + vectors[at + 12], piece);
            Vector512<float> d3 = Lanes.Load<float>(registers + vectors[at + 13], piece);
            for (int half = 0; half < 2; half++)
            {
                Vector512<uint> low = Lanes.Load<uint>(registers + vectors[at + 4 + (2 * half)], piece);
                Vector512<uint> high = Lanes.Load<uint>(registers + vectors[at + 5 + (2 * half)], piece);
                float* row = b + (8 * Columns * half);
                Quad(low, high, 0, row, ref d0, ref d1, ref d2, ref d3);
                Quad(low, high, 1, row + (2 * Columns), ref d0, ref d1, ref d2, ref d3);
                Quad(low, high, 2, row + (4 * Columns), ref d0, ref d1, ref d2, ref d3);
                Quad(low, high, 3, row + (6 * Columns), ref d0, ref d1, ref d2, ref d3);
            }

            Floats.Canonical(d0).Store((float*)(registers + vectors[at]) + (16 * piece));
            Floats.Canonical(d1).Store((float*)(registers + vectors[at + 1]) + (16 * piece));
            Floats.Canonical(d2).Store((float*)(registers + vectors[at + 2]) + (16 * piece));
            Floats.Canonical(d3).Store((float*)(registers + vectors[at + 3]) + (16 * piece));
        }
    }

    /// <summary>Any of the shapes and types, element by element: Elements is k (8 or 16), Immediate 1 for F16.</summary>
    public static void Any(Warp warp, Instruction* instruction)
    {
        warp.RequireConverged(instruction);
        byte* registers = warp.Registers;
        int[] vectors = warp.Kernel.Vectors;
        int depth = instruction->Elements;
        int at = instruction->Vector;
        int aAt = at + 4;
        int bAt = aAt + (depth / 4);
        int cAt = bAt + (depth / 8);
        float* d = stackalloc float[16 * Columns];
        for (int row = 0; row < 16; row++)
        {
            for (int column = 0; column < Columns; column++)
            {
                int lane = (4 * (row & 7)) + (column / 2);
                float sum = ((float*)(registers + vectors[cAt + (2 * (row / 8)) + (column & 1)]))[lane];
                for (int k = 0; k < depth; k++)
                {
                    uint a = ((uint*)(registers + vectors[aAt + (2 * (k / 8)) + (row / 8)]))[(4 * (row & 7)) + (k % 8 / 2)];
                    uint b = ((uint*)(registers + vectors[bAt + (k / 8)]))[(4 * column) + (k % 8 / 2)];
                    sum = MathF.FusedMultiplyAdd(Value(instruction, a >> (16 * (k & 1))), Value(instruction, b >> (16 * (k & 1))), sum);
                }

                d[(row * Columns) + column] = float.IsNaN(sum) ? BitConverter.UInt32BitsToSingle(Rounding.NotANumber) : sum;
            }
        }

        for (int row = 0; row < 16; row++)
        {
            for (int column = 0; column < Columns; column++)
                ((float*)(registers + vectors[at + (2 * (row / 8)) + (column & 1)]))[(4 * (row & 7)) + (column / 2)] = d[(row * Columns) + column];
        }
    }

    private static float Value(Instruction* instruction, uint bits) => instruction->Immediate == 1 ? Bf16.Half(bits & 0xFFFF) : Bf16.Value(bits & 0xFFFF);

    /// <summary>Lane n·4 + t holds B[2t][n] and B[2t + 1][n].</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void SpreadB(uint* lanes, float* b)
    {
        for (int lane = 0; lane < Lanes.Count; lane++)
        {
            int column = lane >> 2;
            float* target = b + (2 * Columns * (lane & 3)) + ((column & 1) * (Columns / 2)) + (column >> 1);
            *(uint*)target = lanes[lane] << 16;
            *(uint*)(target + Columns) = lanes[lane] & 0xFFFF0000;
        }
    }

    /// <summary>Two k: those of the lane <paramref name="lane"/> of each quad. A quad holds a row; its lanes, pairs of columns.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quad(
        Vector512<uint> low, Vector512<uint> high, int lane, float* b, ref Vector512<float> d0, ref Vector512<float> d1, ref Vector512<float> d2, ref Vector512<float> d3)
    {
        low = Spread(low, lane);
        high = Spread(high, lane);
        Step((low << 16).AsSingle(), (high << 16).AsSingle(), b, ref d0, ref d1, ref d2, ref d3);
        Vector512<uint> upper = Vector512.Create(0xFFFF0000u);
        Step((low & upper).AsSingle(), (high & upper).AsSingle(), b + Columns, ref d0, ref d1, ref d2, ref d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Step(
        Vector512<float> low, Vector512<float> high, float* b, ref Vector512<float> d0, ref Vector512<float> d1, ref Vector512<float> d2, ref Vector512<float> d3)
    {
        Vector512<float> even = Repeat(b);
        Vector512<float> odd = Repeat(b + (Columns / 2));
        d0 = Vector512.FusedMultiplyAdd(low, even, d0);
        d1 = Vector512.FusedMultiplyAdd(low, odd, d1);
        d2 = Vector512.FusedMultiplyAdd(high, even, d2);
        d3 = Vector512.FusedMultiplyAdd(high, odd, d3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Repeat(float* four)
    {
        if (Avx512F.IsSupported)
            return Avx512F.BroadcastVector128ToVector512(four);
        Vector128<float> value = Vector128.Load(four);
        Vector256<float> two = Vector256.Create(value, value);
        return Vector512.Create(two, two);
    }

    /// <summary>Each quad's lane into its four.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Spread(Vector512<uint> value, int lane) => lane switch
    {
        0 => Vector512.Shuffle(value, Vector512.Create(0u, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12)),
        1 => Vector512.Shuffle(value, Vector512.Create(1u, 1, 1, 1, 5, 5, 5, 5, 9, 9, 9, 9, 13, 13, 13, 13)),
        2 => Vector512.Shuffle(value, Vector512.Create(2u, 2, 2, 2, 6, 6, 6, 6, 10, 10, 10, 10, 14, 14, 14, 14)),
        _ => Vector512.Shuffle(value, Vector512.Create(3u, 3, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 15, 15, 15, 15)),
    };
}
