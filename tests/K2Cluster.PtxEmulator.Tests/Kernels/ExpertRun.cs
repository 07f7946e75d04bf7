using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Memory;
using K2Cluster.Tests;

namespace K2Cluster.PtxEmulator.Tests.Kernels;

/// <summary>Runs the committed kernels as a device would: shuffle the experts into slots, route, gate and up, down.</summary>
internal sealed class ExpertRun
{
    private readonly ExpertCase _case;
    private readonly Random _random;
    private readonly float[][] _gate;
    private readonly float[][] _up;
    private readonly float[][] _down;
    private readonly ushort[] _hidden;

    private ExpertRun(ExpertCase work)
    {
        _case = work;
        _random = new Random(work.Seed);
        _gate = new float[work.Experts][];
        _up = new float[work.Experts][];
        _down = new float[work.Experts][];
        // Rows and weights each have their own numbers: more rows leave the first ones and the weights as they are.
        Random rows = new(work.Seed + 1000);
        _hidden = [.. Enumerable.Range(0, work.Rows * work.Hidden).Select(_ => ToBf16((float)(rows.NextDouble() + rows.NextDouble() - 1)))];
    }

    /// <summary>BF16, a row for each pair.</summary>
    public ushort[] Output { get; private set; } = [];

    public byte[] Status { get; private set; } = [];

    /// <summary>The output of a pair.</summary>
    public ReadOnlySpan<ushort> this[int pair] => Output.AsSpan(pair * _case.Hidden, _case.Hidden);

    public LaunchStatistics Statistics { get; private set; }

    public static ExpertRun Run(ExpertCase work, EmulatorOptions? options = null)
    {
        ExpertRun run = new(work);
        run.Execute(options ?? new EmulatorOptions { Workers = 1, MaxInstructions = 20_000_000 });
        return run;
    }

    /// <summary>The distance from FP64 in the pairs that are done, of the first so many, relative to its norm.</summary>
    public double RelativeError(int pairs = int.MaxValue)
    {
        double difference = 0;
        double norm = 0;
        for (int pair = 0; pair < Math.Min(pairs, _case.Pairs.Length); pair++)
        {
            (int row, int expert) = _case.Pairs[pair];
            if (expert == 3)
                continue;
            double[] expected = Reference(row, expert);
            for (int i = 0; i < _case.Hidden; i++)
            {
                double got = FromBf16(Output[(pair * _case.Hidden) + i]);
                difference += (got - expected[i]) * (got - expected[i]);
                norm += expected[i] * expected[i];
            }
        }

        return Math.Sqrt(difference / norm);
    }

    private void Execute(EmulatorOptions options)
    {
        using DeviceMemory memory = new();
        using PtxProgram shuffle = Load("k2_shuffle", memory);
        using PtxProgram route = Load("k2_route", memory);
        using PtxProgram products = Load(_case.Bf16 ? "k2_bf16" : "k2_int4", memory);
        int pairs = _case.Pairs.Length;
        ulong slotOf = memory.Allocate(4 * _case.Experts, "slotOf");
        ulong slotAddress = memory.Allocate(8 * _case.Experts, "slotAddress");
        int[] slots = [.. Enumerable.Range(0, _case.Experts).Select(expert => expert == 3 ? -1 : _case.Experts - 1 - expert)];
        ulong[] addresses = [.. Enumerable.Range(0, _case.Experts).Select(slot => memory.Allocate(_case.SlotBytes, $"slot {slot}"))];
        memory.Write<int>(slotOf, slots);
        memory.Write<ulong>(slotAddress, addresses);
        for (int expert = 0; expert < _case.Experts; expert++)
        {
            if (slots[expert] >= 0)
                LoadExpert(memory, shuffle, expert, addresses[slots[expert]], options);
        }

        ulong header = memory.Allocate(256, "header");
        int[] sizes = new int[64];
        (sizes[0], sizes[1], sizes[2], sizes[3]) = (pairs, _case.Rows, 0, _case.RowsPerBlock);
        memory.Write<int>(header, sizes);
        ulong pairRow = Upload<int>(memory, "pairRow", [.. _case.Pairs.Select(pair => pair.Row)]);
        ulong pairExpert = Upload<int>(memory, "pairExpert", [.. _case.Pairs.Select(pair => pair.Expert)]);
        ulong hidden = Upload<ushort>(memory, "hidden", _hidden);
        int maxBlocks = Math.Min(pairs, (pairs / _case.RowsPerBlock) + _case.Experts);
        ulong order = memory.Allocate(4 * pairs, "order");
        ulong rowOf = memory.Allocate(4 * pairs, "rowOf");
        ulong blocks = memory.Allocate(16 * maxBlocks, "blocks");
        ulong counts = memory.Allocate(16, "counts");
        ulong status = memory.Allocate(pairs, "status");
        ulong middle = memory.Allocate(2 * pairs * _case.Intermediate, "middle");
        ulong output = memory.Allocate(2 * pairs * _case.Hidden, "output");
        LaunchStatistics total = route.Launch(
            "k2_route", new LaunchShape(1, 64, 4 * ((_case.Experts * 3) + 64)),
            [header, pairRow, pairExpert, slotOf, slotAddress, _case.Experts, order, rowOf, blocks, counts, status], options);
        LaunchStatistics up = products.Launch(
            $"k2_gate_up_{_case.Format}_{_case.Size}", new LaunchShape(_case.Grid, _case.Threads, _case.SharedBytes(_case.Hidden)),
            [counts, blocks, rowOf, hidden, middle, _case.Hidden, _case.Intermediate, _case.RowsPerBlock, _case.Stages], options);
        LaunchStatistics down = products.Launch(
            $"k2_down_{_case.Format}_{_case.Size}", new LaunchShape(_case.Grid, _case.Threads, _case.SharedBytes(_case.Intermediate)),
            [counts, blocks, order, middle, output, _case.Hidden, _case.Intermediate, _case.RowsPerBlock, _case.Stages], options);
        Statistics = new LaunchStatistics(total.Instructions + up.Instructions + down.Instructions, total.LaneInstructions + up.LaneInstructions + down.LaneInstructions);
        Output = memory.Read<ushort>(output, pairs * _case.Hidden);
        Status = memory.Read<byte>(status, pairs);
    }

    private PtxProgram Load(string file, DeviceMemory memory)
    {
        string text = File.ReadAllText(Repository.Path("kernels", "ptx", _case.Target, file + ".ptx"));
        return PtxProgram.Load(_case.Edit?.Invoke(file, text) ?? text, memory, file + ".ptx");
    }

    private void LoadExpert(DeviceMemory memory, PtxProgram shuffle, int expert, ulong slot, EmulatorOptions options)
    {
        (_gate[expert], ulong gate, ulong gateScales) = MakeMatrix(memory, _case.Intermediate, _case.Hidden);
        (_up[expert], ulong up, ulong upScales) = MakeMatrix(memory, _case.Intermediate, _case.Hidden);
        (_down[expert], ulong down, ulong downScales) = MakeMatrix(memory, _case.Hidden, _case.Intermediate);
        ulong second = slot + (ulong)(_case.Intermediate / 8 * ExpertCase.Blocks(_case.Hidden) * _case.BlockBytes);
        LaunchShape shape = new(2, 64);
        if (_case.Bf16)
        {
            shuffle.Launch("k2_shuffle_bf16", shape, [gate, up, slot, _case.Intermediate / 8, 8, _case.Hidden], options);
            shuffle.Launch("k2_shuffle_bf16", shape, [down, down + (16ul * (ulong)_case.Intermediate), second, _case.Hidden / 16, 16, _case.Intermediate], options);
            return;
        }

        shuffle.Launch("k2_shuffle_int4", shape, [gate, gateScales, up, upScales, slot, _case.Intermediate / 8, 8, _case.Hidden], options);
        shuffle.Launch(
            "k2_shuffle_int4", shape,
            [down, downScales, down + (4ul * (ulong)_case.Intermediate), downScales + ((ulong)_case.Intermediate / 2), second, _case.Hidden / 16, 16, _case.Intermediate], options);
    }

    /// <summary>A matrix in the checkpoint's layout on the device, and its values.</summary>
    private (float[] Values, ulong Weights, ulong Scales) MakeMatrix(DeviceMemory memory, int rows, int inputs)
    {
        float[] values = new float[rows * inputs];
        if (_case.Bf16)
        {
            ushort[] weights = new ushort[values.Length];
            for (int i = 0; i < weights.Length; i++)
            {
                weights[i] = ToBf16((float)((_random.NextDouble() - 0.5) / 8));
                values[i] = FromBf16(weights[i]);
            }

            return (values, Upload<ushort>(memory, "weights", weights), 0);
        }

        uint[] words = new uint[values.Length / 8];
        ushort[] scales = new ushort[values.Length / 32];
        for (int i = 0; i < scales.Length; i++)
            scales[i] = ToBf16((float)(0.005 + (0.015 * _random.NextDouble())));
        for (int i = 0; i < values.Length; i++)
        {
            int weight = _random.Next(-8, 8);
            words[i / 8] |= (uint)(weight + 8) << (4 * (i % 8));
            values[i] = weight * FromBf16(scales[i / 32]);
        }

        return (values, Upload<uint>(memory, "weights", words), Upload<ushort>(memory, "scales", scales));
    }

    private double[] Reference(int row, int expert)
    {
        double[] middle = new double[_case.Intermediate];
        for (int i = 0; i < middle.Length; i++)
        {
            double gate = 0;
            double up = 0;
            for (int k = 0; k < _case.Hidden; k++)
            {
                double x = FromBf16(_hidden[(row * _case.Hidden) + k]);
                gate += _gate[expert][(i * _case.Hidden) + k] * x;
                up += _up[expert][(i * _case.Hidden) + k] * x;
            }

            middle[i] = gate / (1 + Math.Exp(-gate)) * up;
        }

        double[] result = new double[_case.Hidden];
        for (int i = 0; i < result.Length; i++)
        {
            for (int k = 0; k < middle.Length; k++)
                result[i] += _down[expert][(i * middle.Length) + k] * middle[k];
        }

        return result;
    }

    private static ulong Upload<T>(DeviceMemory memory, string name, T[] values)
        where T : unmanaged
    {
        ulong address = memory.Allocate(values.Length * System.Runtime.CompilerServices.Unsafe.SizeOf<T>(), name);
        memory.Write<T>(address, values);
        return address;
    }

    private static ushort ToBf16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    private static float FromBf16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
