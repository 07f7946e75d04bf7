using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Lanes;

/// <summary>Every operation of every path against the portable one, over values that include all the awkward ones.</summary>
public sealed unsafe class LanesTests
{
    private const int LaneCount = 16;

    private static readonly float[] Values = MakeValues();

    public static TheoryData<string> Operations() => [.. All<LanesPortable>().Keys];

    [Theory]
    [MemberData(nameof(Operations))]
    public void An_operation_gives_the_bits_of_the_portable_one(string name)
    {
        float[] expected = Apply(All<LanesPortable>()[name]);
        if (CpuPaths.IsSupported(CpuPath.Avx2))
            Samples.SameBits(expected, Apply(All<Lanes256>()[name]), $"Avx2 {name}");
        if (CpuPaths.IsSupported(CpuPath.Avx512))
            Samples.SameBits(expected, Apply(All<Lanes512>()[name]), $"Avx512 {name}");
    }

    [Fact]
    public void Max_and_min_give_the_second_operand_when_either_is_nan()
    {
        Check<LanesPortable>();
        if (CpuPaths.IsSupported(CpuPath.Avx2))
            Check<Lanes256>();
        if (CpuPaths.IsSupported(CpuPath.Avx512))
            Check<Lanes512>();

        static void Check<TLanes>()
            where TLanes : struct, ILanes<TLanes>
        {
            TLanes nan = TLanes.Broadcast(float.NaN), one = TLanes.Broadcast(1);
            Assert.Equal(1, First(TLanes.Max(nan, one)));
            Assert.Equal(float.NaN, First(TLanes.Max(one, nan)));
            Assert.Equal(1, First(TLanes.Min(nan, one)));
            Assert.Equal(float.NaN, First(TLanes.Min(one, nan)));
        }
    }

    [Fact]
    public void The_tree_is_the_stated_one_and_another_is_seen()
    {
        float[] x = Samples.Gaussian(LaneCount, 41);
        float[] tree = [.. x];
        for (int half = 8; half >= 1; half /= 2)
        {
            for (int i = 0; i < half; i++)
                tree[i] += tree[i + half];
        }

        float sum;
        fixed (float* source = x)
            sum = LanesPortable.Sum(LanesPortable.Load(source));
        Assert.Equal(tree[0], sum);

        // The comparisons of this class must be able to fail: from left to right is another sum.
        float serial = 0;
        foreach (float value in x)
            serial += value;
        Assert.NotEqual(serial, sum);
    }

    private delegate TLanes Operation<TLanes>(TLanes left, TLanes right);

    private static Dictionary<string, Operation<TLanes>> All<TLanes>()
        where TLanes : struct, ILanes<TLanes> => new()
        {
            ["Add"] = TLanes.Add,
            ["Subtract"] = TLanes.Subtract,
            ["Multiply"] = TLanes.Multiply,
            ["Divide"] = TLanes.Divide,
            ["FusedMultiplyAdd"] = (left, right) => TLanes.FusedMultiplyAdd(left, right, TLanes.Broadcast(1.1f)),
            ["FusedMultiplyAdd cancelling"] = (left, right) => TLanes.FusedMultiplyAdd(left, right, TLanes.Subtract(TLanes.Zero, TLanes.Multiply(left, right))),
            ["Max"] = TLanes.Max,
            ["Min"] = TLanes.Min,
            ["Abs"] = (left, _) => TLanes.Abs(left),
            ["Round"] = (left, _) => TLanes.Round(left),
            ["PowerOfTwo"] = (left, _) => TLanes.PowerOfTwo(TLanes.Round(TLanes.Min(TLanes.Broadcast(127), TLanes.Max(TLanes.Broadcast(-126), TLanes.Max(left, TLanes.Zero))))),
            ["Sum"] = (left, _) => TLanes.Broadcast(TLanes.Sum(left)),
            ["StoreBf16, LoadBf16"] = (left, _) => ThroughBf16(left),
            ["LowBf16"] = (left, _) => TLanes.LowBf16(left),
            ["HighBf16"] = (left, _) => TLanes.HighBf16(left),
            ["And"] = (left, right) => TLanes.And(left, right),
            ["ShiftPairsRight 4"] = (left, _) => TLanes.ShiftPairsRight(left, 4),
            ["ShiftPairsRight 12"] = (left, _) => TLanes.ShiftPairsRight(left, 12),
            ["ShiftWordsRight 8"] = (left, _) => TLanes.ShiftWordsRight(left, 8),
            ["MultiplyAddPairs"] = (left, _) => PairProducts(left),
            ["MultiplyAddBytes"] = (left, _) => ByteProducts(left),
            ["SumPairs"] = (left, _) => TLanes.ConvertToSingle(TLanes.SumPairs(left)),
            ["AddWords"] = (left, right) => TLanes.ConvertToSingle(TLanes.AddWords(left, right)),
            ["ConvertToSingle"] = (left, _) => TLanes.ConvertToSingle(left),
            ["Exp"] = (left, _) => LaneMath.Exp(left),
            ["Sigmoid"] = (left, _) => LaneMath.Sigmoid(left),
            ["SwiGlu"] = LaneMath.SwiGlu,
        };

    private static TLanes ThroughBf16<TLanes>(TLanes value)
        where TLanes : struct, ILanes<TLanes>
    {
        ushort* rounded = stackalloc ushort[LaneCount];
        TLanes.StoreBf16(value, rounded);
        return TLanes.LoadBf16(rounded);
    }

    private static TLanes PairProducts<TLanes>(TLanes value)
        where TLanes : struct, ILanes<TLanes>
    {
        int word = -32767 << 16 | 0x7FFF;
        return TLanes.ConvertToSingle(TLanes.MultiplyAddPairs(TLanes.BroadcastWord(-77), TLanes.And(TLanes.ShiftPairsRight(value, 4), TLanes.BroadcastWord(0x000F_000F)), &word));
    }

    private static TLanes ByteProducts<TLanes>(TLanes value)
        where TLanes : struct, ILanes<TLanes>
    {
        int word = unchecked((int)0x8181_7F7F);
        TLanes nibbles = TLanes.And(TLanes.ShiftPairsRight(value, 4), TLanes.BroadcastWord(0x0F0F_0F0F));
        return TLanes.ConvertToSingle(TLanes.SumPairs(TLanes.MultiplyAddBytes(TLanes.BroadcastWord(-77 << 16 | 1000), nibbles, &word)));
    }

    private static float First<TLanes>(TLanes value)
        where TLanes : struct, ILanes<TLanes>
    {
        float* lanes = stackalloc float[LaneCount];
        TLanes.Store(value, lanes);
        return lanes[0];
    }

    private static float[] Apply<TLanes>(Operation<TLanes> operation)
        where TLanes : struct, ILanes<TLanes>
    {
        float[] results = new float[Values.Length - LaneCount];
        fixed (float* values = Values, result = results)
        {
            for (int i = 0; i + LaneCount <= results.Length; i += LaneCount)
                TLanes.Store(operation(TLanes.Load(values + i), TLanes.Load(values + i + LaneCount)), result + i);
        }

        return results;
    }

    private static float[] MakeValues()
    {
        Random random = new(43);
        List<float> values =
        [
            0, -0f, 1, -1, 0.5f, 1.5f, 2.5f, -2.5f, float.Epsilon, -float.Epsilon, 1.1754942e-38f, 1.17549435e-38f, float.MaxValue,
            float.MinValue, float.PositiveInfinity, float.NegativeInfinity, float.NaN, 88.72f, 88.73f, -87.33f, -103.9f, -104.1f,
            8388609f, 3.3895314e38f, 0.49999997f, 2147483648f, -200, 200,
        ];
        while (values.Count < 20_000)
            values.Add(BitConverter.Int32BitsToSingle(random.Next(int.MinValue, int.MaxValue)));
        while (values.Count < 40_000)
            values.Add((float)((random.NextDouble() - 0.5) * 200));
        while (values.Count % LaneCount != 0)
            values.Add(values.Count);
        return [.. values];
    }
}
