using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Devices;

public sealed class CpuExpertDeviceTests
{
    private const int Layer = 1;

    /// <summary>INT4 or not, hidden, intermediate.</summary>
    public static TheoryData<bool, int, int> Shapes() => new()
    {
        { true, 32, 32 },
        { true, 64, 32 },
        { true, 96, 160 },
        { true, 32, 320 },
        { true, 288, 96 },
        { false, 32, 32 },
        { false, 33, 17 },
        { false, 70, 88 },
        { false, 640, 48 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_path_thread_count_and_company_gives_a_row_the_same_bits(bool int4, int hidden, int intermediate) =>
        SameBitsOnEveryPath(int4, hidden, intermediate, CpuActivations.Bits16);

    [Theory]
    [InlineData(32, 32)]
    [InlineData(96, 160)]
    [InlineData(288, 96)]
    public void And_so_with_int8_activations(int hidden, int intermediate) => SameBitsOnEveryPath(int4: true, hidden, intermediate, CpuActivations.Bits8);

    private static void SameBitsOnEveryPath(bool int4, int hidden, int intermediate, CpuActivations activations)
    {
        const int Rows = 7;
        using RandomExperts model = new(int4, hidden, intermediate, experts: 5);
        ushort[] inputs = Samples.GaussianBf16(Rows * hidden, 21);
        (int Row, int Expert)[] pairs = [.. Enumerable.Range(0, Rows * 4).Select(i => (i / 4, (i * 3 + i / 5) % 5))];

        ushort[] alone = new ushort[pairs.Length * hidden];
        using (Harness single = new(model, 1, CpuPath.Portable, activations: activations))
        {
            for (int i = 0; i < pairs.Length; i++)
            {
                single.Forward(inputs.AsSpan(pairs[i].Row * hidden, hidden), [(0, pairs[i].Expert)]);
                single.Work.Outputs.CopyTo(alone.AsSpan(i * hidden, hidden));
            }
        }

        foreach (CpuPath path in Samples.Paths)
        {
            foreach (int threads in new[] { 1, 2, 3 })
            {
                using Harness batch = new(model, threads, path, activations: activations);
                batch.Forward(inputs, pairs);
                Assert.All(batch.Work.Statuses.ToArray(), status => Assert.Equal(PairStatus.Done, status));
                Samples.SameBits(alone, batch.Work.Outputs, $"{path}, {threads} threads");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Answers_are_as_exact_as_bf16_outputs_allow(bool int4, int hidden, int intermediate)
    {
        using RandomExperts model = new(int4, hidden, intermediate, experts: 2);
        using Harness device = new(model, 2, CpuPaths.Best);
        ushort[] input = Samples.GaussianBf16(hidden, 22);
        device.Forward(input, [(0, 0), (0, 1)]);
        for (int expert = 0; expert < 2; expert++)
        {
            float[] actual = Samples.Widen(device.Work.Outputs.Slice(expert * hidden, hidden));
            Assert.InRange(Samples.RelativeError(model.Exact(Layer, expert, input), actual), 1e-9, 3e-3);
        }
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void The_shapes_of_k2_are_bit_equal_and_exact_on_every_path()
    {
        const int Hidden = 7168;
        using RandomExperts model = new(int4: true, Hidden, 2048, experts: 1);
        ushort[] inputs = Samples.GaussianBf16(2 * Hidden, 23);
        ushort[]? first = null;
        foreach (CpuPath path in Samples.Paths)
        {
            using Harness device = new(model, 2, path);
            device.Forward(inputs, [(0, 0), (1, 0)]);
            Samples.SameBits(first ??= device.Work.Outputs.ToArray(), device.Work.Outputs, path.ToString());
        }

        double error = Samples.RelativeError(model.Exact(Layer, 0, inputs.AsSpan(0, Hidden)), Samples.Widen(first.AsSpan(0, Hidden)));
        Assert.InRange(error, 1e-9, 3e-3);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public void Four_thousand_rows_have_the_bits_they_have_alone()
    {
        const int Hidden = 64;
        const int Rows = 4096;
        using RandomExperts model = new(int4: true, Hidden, 96, experts: 8);
        ushort[] inputs = Samples.GaussianBf16(Rows * Hidden, 24);
        (int, int)[] pairs = [.. Enumerable.Range(0, Rows).Select(row => (row, row % 8))];
        using Harness batch = new(model, 3, CpuPaths.Best, Rows);
        batch.Forward(inputs, pairs);
        using Harness single = new(model, 1, CpuPaths.Best);
        for (int row = 0; row < Rows; row += 37)
        {
            single.Forward(inputs.AsSpan(row * Hidden, Hidden), [(0, row % 8)]);
            Samples.SameBits(single.Work.Outputs, batch.Work.Outputs.Slice(row * Hidden, Hidden), $"row {row}");
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_value_that_is_not_finite_makes_its_own_row_nan_and_no_other(bool int4)
    {
        const int Hidden = 64;
        using RandomExperts model = new(int4, Hidden, 32, experts: 1);
        ushort[] inputs = Samples.GaussianBf16(4 * Hidden, 25);
        ushort[] clean = [.. inputs];
        inputs[5] = Bf16.FromSingle(float.NaN);
        inputs[2 * Hidden + 40] = Bf16.FromSingle(float.PositiveInfinity);
        using Harness reference = new(model, 1, CpuPath.Portable);
        reference.Forward(clean, [(1, 0), (3, 0)]);
        foreach (CpuPath path in Samples.Paths)
        {
            using Harness device = new(model, 2, path);
            device.Forward(inputs, [(0, 0), (1, 0), (2, 0), (3, 0)]);
            Assert.All(device.Work.Outputs[..Hidden].ToArray(), bits => Assert.Equal(0x7FC0, bits));
            Assert.All(device.Work.Outputs.Slice(2 * Hidden, Hidden).ToArray(), bits => Assert.Equal(0x7FC0, bits));
            Samples.SameBits(reference.Work.Outputs[..Hidden], device.Work.Outputs.Slice(Hidden, Hidden), "row 1");
            Samples.SameBits(reference.Work.Outputs[Hidden..], device.Work.Outputs.Slice(3 * Hidden, Hidden), "row 3");
        }
    }

    [Fact]
    public void Pairs_that_cannot_be_answered_say_why_and_the_rest_is_done()
    {
        const int Hidden = 64;
        using RandomExperts model = new(int4: true, Hidden, 32, experts: 4);
        using Harness device = new(model, 2, CpuPaths.Best, load: false);
        device.Device.Load(new ExpertKey(Layer, 2), model);
        device.Forward(
            Samples.GaussianBf16(2 * Hidden, 26),
            [(0, 2), (0, 1), (1, -1), (1, 4), (1, int.MaxValue), (2, 2), (-1, 2), (int.MinValue, 2), (1, 2)]);
        Assert.Equal(
            [
                PairStatus.Done, PairStatus.NotHeld, PairStatus.NotHeld, PairStatus.NotHeld, PairStatus.NotHeld,
                PairStatus.Failed, PairStatus.Failed, PairStatus.Failed, PairStatus.Done,
            ],
            device.Work.Statuses.ToArray());

        foreach (int layer in new[] { 0, 2, -1, int.MaxValue })
        {
            device.Work.Reset(layer, 1, 1);
            device.Work.PairRows[0] = 0;
            device.Work.PairExperts[0] = 2;
            device.Device.Forward(device.Work);
            Assert.Equal(PairStatus.NotHeld, device.Work.Statuses[0]);
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_budget_is_kept_and_given_back(bool int4)
    {
        using RandomExperts model = new(int4, 64, 32, experts: 3);
        using CpuCompute compute = new(1, CpuPaths.Best);
        long one = new CpuExpertDevice(model.Config, model.Catalog, 0, compute).ExpertBytes;
        using CpuExpertDevice device = new(model.Config, model.Catalog, 2 * one + 1, compute);
        device.Load(new ExpertKey(Layer, 0), model);
        device.Load(new ExpertKey(Layer, 0), model);
        device.Load(new ExpertKey(Layer, 1), model);
        Assert.Equal(2 * one, device.UsedBytes);
        InsufficientMemoryException full = Assert.Throws<InsufficientMemoryException>(() => device.Load(new ExpertKey(Layer, 2), model));
        Assert.Contains("budget", full.Message, StringComparison.Ordinal);
        Assert.True(device.Unload(new ExpertKey(Layer, 0)));
        Assert.False(device.Unload(new ExpertKey(Layer, 0)));
        device.Load(new ExpertKey(Layer, 2), model);
        Assert.False(device.Holds(new ExpertKey(Layer, 0)));
        Assert.True(device.Holds(new ExpertKey(Layer, 2)));
        Assert.False(device.Holds(new ExpertKey(99, 0)));
        Assert.False(device.Unload(new ExpertKey(Layer, -1)));
    }

    [Fact]
    public void An_int4_expert_takes_what_the_checkpoint_takes()
    {
        using RandomExperts model = new(int4: true, 64, 32, experts: 1);
        using CpuCompute compute = new(1, CpuPaths.Best);
        ModelConfig k2 = model.Config with { HiddenSize = 7168, MoeIntermediateSize = 2048 };
        using CpuExpertDevice device = new(k2, new TensorCatalog(k2), 0, compute);
        Assert.Equal(24_772_608, device.ExpertBytes);
        Assert.Equal("cpu", device.Description.Kind);
    }

    [Fact]
    public void A_missing_tensor_is_named_and_costs_nothing()
    {
        using RandomExperts model = new(int4: true, 64, 32, experts: 1);
        string name = model.Catalog.Expert(Layer, 0, "down_proj", "weight_scale");
        model.Remove(name);
        using CpuCompute compute = new(1, CpuPaths.Best);
        using CpuExpertDevice device = new(model.Config, model.Catalog, 1 << 20, compute);
        CheckpointException missing = Assert.Throws<CheckpointException>(() => device.Load(new ExpertKey(Layer, 0), model));
        Assert.Contains(name, missing.Message, StringComparison.Ordinal);
        Assert.Equal(0, device.UsedBytes);
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Load(new ExpertKey(0, 0), model));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Load(new ExpertKey(Layer, 1), model));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_forward_allocates_nothing(bool int4)
    {
        using RandomExperts model = new(int4, 256, 128, experts: 4);
        using Harness device = new(model, 2, CpuPaths.Best);
        ushort[] inputs = Samples.GaussianBf16(4 * 256, 27);
        (int, int)[] pairs = [.. Enumerable.Range(0, 16).Select(i => (i / 4, i % 4))];
        for (int i = 0; i < 5; i++)
            device.Forward(inputs, pairs);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 50; i++)
            device.Forward(inputs, pairs);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Loads_and_unloads_under_a_forward_change_no_bits_and_leak_nothing(bool int4)
    {
        const int Hidden = 64;
        const int Forwards = 400;
        using RandomExperts model = new(int4, Hidden, 64, experts: 4);
        using Harness device = new(model, 2, CpuPaths.Best);
        ushort[] inputs = Samples.GaussianBf16(8 * Hidden, 28);
        (int Row, int Expert)[] pairs = [.. Enumerable.Range(0, 32).Select(i => (i / 4, i % 4))];
        device.Forward(inputs, pairs);
        ushort[] expected = device.Work.Outputs.ToArray();

        using CancellationTokenSource done = new();
        Task[] movers = [.. Enumerable.Range(0, 2).Select(mover => Task.Run(() =>
        {
            for (int i = mover; !done.IsCancellationRequested; i++)
            {
                device.Device.Unload(new ExpertKey(Layer, i % 4));
                device.Device.Load(new ExpertKey(Layer, i % 4), model);
            }
        }))];
        int answered = 0, notHeld = 0;
        for (int i = 0; i < Forwards || (notHeld == 0 && i < 100 * Forwards); i++)
        {
            device.Forward(inputs, pairs);
            for (int pair = 0; pair < pairs.Length; pair++)
            {
                if (device.Work.Statuses[pair] == PairStatus.NotHeld)
                {
                    notHeld++;
                    continue;
                }

                answered++;
                Assert.Equal(PairStatus.Done, device.Work.Statuses[pair]);
                Samples.SameBits(expected.AsSpan(pair * Hidden, Hidden), device.Work.Outputs.Slice(pair * Hidden, Hidden), $"forward {i}, pair {pair}");
            }
        }

        await done.CancelAsync();
        await Task.WhenAll(movers);
        Assert.True(answered > 0 && notHeld > 0, $"{answered} answered, {notHeld} not held");
        Assert.Equal(4 * device.Device.ExpertBytes, device.Device.UsedBytes);
    }

    [Fact]
    public void Int8_activations_are_a_kind_of_their_own_with_a_stated_error()
    {
        const int Hidden = 640;
        using RandomExperts model = new(int4: true, Hidden, 320, experts: 1);
        using Harness device = new(model, 2, CpuPaths.Best, activations: CpuActivations.Bits8);
        Assert.Equal("cpu-int8", device.Device.Description.Kind);
        ushort[] input = Samples.GaussianBf16(Hidden, 22);
        device.Forward(input, [(0, 0)]);

        // Two products and the SwiGLU between: about 1e-2 (INT16: 2e-3, of which all is the rounding to BF16).
        Assert.InRange(Samples.RelativeError(model.Exact(Layer, 0, input), Samples.Widen(device.Work.Outputs)), 4e-3, 2e-2);
    }

    [Fact]
    public void Int8_activations_change_nothing_for_bf16_experts()
    {
        const int Hidden = 64;
        using RandomExperts model = new(int4: false, Hidden, 32, experts: 1);
        using Harness asked = new(model, 1, CpuPaths.Best, activations: CpuActivations.Bits8);
        using Harness plain = new(model, 1, CpuPaths.Best);
        Assert.Equal("cpu", asked.Device.Description.Kind);
        ushort[] input = Samples.GaussianBf16(Hidden, 22);
        asked.Forward(input, [(0, 0)]);
        plain.Forward(input, [(0, 0)]);
        Samples.SameBits(plain.Work.Outputs, asked.Work.Outputs, "BF16");
    }

    [Fact]
    public void Another_devices_work_is_refused_and_so_is_a_disposed_one()
    {
        using RandomExperts small = new(int4: true, 32, 32, experts: 1);
        using RandomExperts large = new(int4: true, 64, 32, experts: 1);
        using Harness first = new(small, 1, CpuPaths.Best);
        using Harness second = new(large, 1, CpuPaths.Best);
        using Harness int8 = new(small, 1, CpuPaths.Best, activations: CpuActivations.Bits8);
        Assert.Throws<ArgumentException>(() => first.Device.Forward(second.Work));
        Assert.Throws<ArgumentException>(() => first.Device.Forward(int8.Work));
        first.Work.Dispose();
        Assert.Throws<ObjectDisposedException>(() => first.Device.Forward(first.Work));
        Assert.Throws<ObjectDisposedException>(() => first.Work.Hidden.Length);
    }

    private sealed class Harness : IDisposable
    {
        private readonly CpuCompute _compute;

        public Harness(RandomExperts model, int threads, CpuPath path, int maxRows = 16, bool load = true, CpuActivations activations = CpuActivations.Bits16)
        {
            _compute = new CpuCompute(threads, path);
            Device = new CpuExpertDevice(model.Config, model.Catalog, long.MaxValue, _compute, activations: activations);
            Work = Device.CreateWork(maxRows, maxRows * 4);
            for (int expert = 0; load && expert < model.Config.RoutedExperts; expert++)
                Device.Load(new ExpertKey(Layer, expert), model);
        }

        public CpuExpertDevice Device { get; }

        public ExpertWork Work { get; }

        public void Forward(ReadOnlySpan<ushort> hidden, ReadOnlySpan<(int Row, int Expert)> pairs)
        {
            Work.Reset(Layer, hidden.Length / Work.HiddenSize, pairs.Length);
            hidden.CopyTo(Work.Hidden);
            for (int i = 0; i < pairs.Length; i++)
            {
                Work.PairRows[i] = pairs[i].Row;
                Work.PairExperts[i] = pairs[i].Expert;
            }

            Device.Forward(Work);
        }

        public void Dispose()
        {
            Work.Dispose();
            Device.Dispose();
            _compute.Dispose();
        }
    }
}
