using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Cluster.Tests;
using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Tests;
using K2Cluster.Kernels.Tests.Devices;
using K2Cluster.PtxEmulator.FakeDriver;
using ManagedCuda;

namespace K2Cluster.Cuda.Tests.Device;

/// <summary>The device over the fake driver, which runs the committed kernels: what it answers, holds and has room for.</summary>
public sealed class CudaExpertDeviceTests : FakeDriverTest
{
    private const int Layer = 1;

    private static readonly ExpertKey First = new(Layer, 0);
    private static readonly ExpertKey Second = new(Layer, 1);

    [Theory]
    [InlineData(true, 64, 96, "9.0")]
    [InlineData(true, 160, 32, "8.6")]
    [InlineData(false, 64, 32, "8.0")]
    public void Answers_are_exact_and_a_rows_bits_are_the_same_in_any_company(bool int4, int hidden, int intermediate, string capability)
    {
        Install(new FakeGpu { MemoryBytes = 64 << 20, Capability = Version.Parse(capability) });
        using RandomExperts model = new(int4, hidden, intermediate, experts: 3);
        using CudaExpertDevice device = Open(model);
        device.Load(First, model);
        device.Load(Second, model);
        using ExpertWork work = device.CreateWork(65, 70);

        // 44 rows of one expert and 22 of another: two widths of the kernels for many. 8 of one expert: those for few.
        ushort[] rows = Samples.GaussianBf16(65 * hidden, 31);
        Forward(device, work, Layer, rows, [.. Enumerable.Range(0, 65).Select(row => (row, row % 3 == 1 ? 1 : 0)), (3, 0), (64, 2)]);
        ushort[] many = work.Outputs.ToArray();
        Assert.Equal([.. Enumerable.Repeat(PairStatus.Done, 66), PairStatus.NotHeld], work.Statuses.ToArray());

        Forward(device, work, Layer, rows.AsSpan(0, 8 * hidden), [.. Enumerable.Range(0, 8).Select(row => (row, 0))]);
        foreach (int row in (ReadOnlySpan<int>)[0, 2, 3, 5, 6])
            Samples.SameBits(many.AsSpan(row * hidden, hidden), work.Outputs.Slice(row * hidden, hidden), $"row {row} of 8");

        double[] exact = [.. model.Exact(Layer, 1, rows.AsSpan(hidden, hidden)), .. model.Exact(Layer, 0, rows.AsSpan(63 * hidden, hidden))];
        Assert.InRange(SelfCheck.RelativeError(exact, [.. many.AsSpan(hidden, hidden), .. many.AsSpan(63 * hidden, hidden)]), 1e-6, 3e-3);
    }

    /// <summary>Rows of the first expert, of the second, and of those that the model does not have.</summary>
    [Theory]
    [InlineData(8, 8, 9, false)]
    [InlineData(9, 1, 0, true)]
    [InlineData(0, 9, 0, true)]
    [InlineData(8, 1, 0, false)]
    public void The_kernels_are_those_for_the_most_rows_of_an_expert_and_the_bits_those_of_either(int first, int second, int none, bool isLarge)
    {
        using RandomExperts model = new(int4: true, 64, 32, experts: 2);
        using CudaExpertDevice device = Open(model);
        device.Load(First, model);
        device.Load(Second, model);
        int count = first + second + none;
        using CudaExpertWork work = (CudaExpertWork)device.CreateWork(count, count);
        ushort[] rows = Samples.GaussianBf16(count * 64, 9);
        int launched = Machine.Devices[0].LaunchedKernels.Count;
        Forward(device, work, Layer, rows, [.. Enumerable.Range(0, count).Select(row => (row, row < first ? 0 : row < first + second ? 1 : 7))]);
        string size = isLarge ? "large" : "small";
        Assert.Equal(["k2_route", $"k2_gate_up_int4_{size}", $"k2_down_int4_{size}"], Machine.Devices[0].LaunchedKernels.Skip(launched));

        ushort[] outputs = work.Outputs[..((first + second) * 64)].ToArray();
        work.Outputs.Clear();
        using CudaStream stream = new();
        work.Run(stream, !isLarge);
        Samples.SameBits(outputs, work.Outputs[..outputs.Length], "with the other kernels");
    }

    [Fact]
    public void Its_graphs_are_built_once_and_told_of_the_buffers_of_a_call_when_these_are_others()
    {
        using RandomExperts model = new(int4: true, 64, 32, experts: 1);
        using CudaExpertDevice device = Open(model);
        device.Load(First, model);
        using ExpertWork work = device.CreateWork(1, 1);
        using ExpertWork larger = device.CreateWork(4, 4);
        ushort[] rows = Samples.GaussianBf16(4 * 64, 5);

        long changes = Machine.Devices[0].NodeChanges;
        Assert.Equal(3, Changes(work, 1));
        Assert.Equal(0, Changes(work, 1));
        Assert.Equal(3, Changes(larger, 4));
        Assert.Equal(0, Changes(larger, 2));
        Assert.Equal(3, Changes(work, 1));
        Samples.SameBits(larger.Outputs[..64], work.Outputs, "row 0");
        Assert.Equal(2, Machine.Devices[0].Graphs);

        // The driver gives addresses again.
        work.Dispose();
        using ExpertWork next = device.CreateWork(1, 1);
        Assert.Equal(3, Changes(next, 1));
        Samples.SameBits(larger.Outputs[..64], next.Outputs, "row 0");

        long Changes(ExpertWork call, int count)
        {
            Forward(device, call, Layer, rows.AsSpan(0, count * 64), [.. Enumerable.Range(0, count).Select(row => (row, 0))]);
            Assert.False(call.Statuses.ContainsAnyExcept(PairStatus.Done));
            long before = changes;
            changes = Machine.Devices[0].NodeChanges;
            return changes - before;
        }
    }

    [Fact]
    public void It_holds_what_is_loaded_as_far_as_the_budget_goes()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 4);
        long slot = new ExpertShape(model.Config, isInt4: true).SlotBytes;
        using CudaExpertDevice device = Open(model, memory: (3 * slot) - 1);
        Assert.Equal((slot, 2 * slot), (device.ExpertBytes, device.Description.WeightsBudget));
        device.Load(First, model);
        device.Load(First, model);
        device.Load(Second, model);

        InsufficientMemoryException full = Assert.Throws<InsufficientMemoryException>(() => device.Load(new(Layer, 2), model));
        Assert.Contains($"Expert 2 of layer 1 needs a slot of {slot} bytes, and all 2 of cuda:0 Fake GPU are used", full.Message, StringComparison.Ordinal);
        Assert.True(device.Unload(First));
        Assert.False(device.Unload(First));
        device.Load(new(Layer, 2), model);
        Assert.Equal([false, true, true, false], Enumerable.Range(0, 4).Select(expert => device.Holds(new(Layer, expert))));
        Assert.Throws<ArgumentOutOfRangeException>(() => device.Load(new(Layer, 4), model));
    }

    [Fact]
    public void Of_a_cards_memory_a_sixteenth_stays_free_and_no_more_is_taken_than_the_model_needs()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 4);
        long slot = new ExpertShape(model.Config, isInt4: true).SlotBytes;
        using (CudaExpertDevice device = Open(model))
            Assert.Equal(4 * slot, device.Description.WeightsBudget);

        InsufficientMemoryException least = Assert.Throws<InsufficientMemoryException>(() => Open(model, memory: slot - 1));
        Assert.Equal($"--memory {slot - 1} bytes is less than one expert takes on cuda:0 Fake GPU: {slot} bytes.", least.Message);
    }

    [Fact]
    public void A_card_that_is_full_says_what_is_free()
    {
        using RandomExperts model = new(int4: true, 64, 64, experts: 4);
        Install(new FakeGpu { MemoryBytes = 20 << 10 });
        InsufficientMemoryException full = Assert.Throws<InsufficientMemoryException>(() => Open(model));
        Assert.Contains("bytes free, of which 1280 are kept for buffers: not even one expert of 13824 bytes fits", full.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_card_older_than_Ampere_is_refused_by_name()
    {
        Install(new FakeGpu { Name = "Tesla T4", Capability = new Version(7, 5) }, new FakeGpu());
        CudaCards cards = CudaCards.Find();
        Assert.Equal("cuda:0 Tesla T4 has compute capability 7.5; the kernels need 8.0 (Ampere) or newer.", cards.All[0].Refusal);
        Assert.Equal((null, null), (cards.All[1].Refusal, cards.Problem));
        using RandomExperts model = new(int4: true, 32, 32, experts: 1);
        Assert.Equal(cards.All[0].Refusal, Assert.Throws<NotSupportedException>(() => Open(model)).Message);
    }

    [Fact]
    public void A_card_that_cannot_be_asked_is_refused_by_number_and_the_others_are_there()
    {
        Install(new FakeGpu(), new FakeGpu());
        Func<string, nint> find = DriverLibrary.Find!;
        unsafe
        {
            DriverLibrary.Find = name => name == "cuDeviceTotalMem_v2" ? (nint)(delegate* unmanaged<nint*, int, int>)&TotalMemoryOfTheFirst : find(name);
        }

        CudaCards cards = CudaCards.Find();
        Assert.Null(cards.All[0].Refusal);
        Assert.StartsWith("cuda:1 cannot be asked what it is: cuDeviceTotalMem", cards.All[1].Refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_three_times_has_no_room_for_a_larger_call_is_lost()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 1);
        using CudaExpertDevice device = Open(model);
        for (int i = 0; i < 2; i++)
        {
            Assert.Throws<InsufficientMemoryException>(() => device.CreateWork(1 << 21, 1));
            device.CreateWork(1, 1).Dispose();
        }

        for (int i = 0; i < 2; i++)
            Assert.Throws<InsufficientMemoryException>(() => device.CreateWork(1 << 21, 1));
        Assert.Null(device.Lost);
        Assert.Throws<DeviceLostException>(() => device.CreateWork(1 << 21, 1));
        Assert.Contains("is lost", device.Lost, StringComparison.Ordinal);
    }

    [Fact]
    public void Its_kind_names_architecture_and_kernels()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 1);
        Install(new FakeGpu { Capability = new Version(8, 6) }, new FakeGpu { Capability = new Version(8, 6) }, new FakeGpu { Capability = new Version(8, 0) });
        using CudaExpertDevice device = Open(model);
        using CudaExpertDevice twin = Open(model, ordinal: 1);
        using CudaExpertDevice other = Open(model, ordinal: 2);
        Assert.Matches("^cuda-sm_86-sm_80-[0-9a-f]{8}$", device.Description.Kind);
        Assert.Equal(device.Description.Kind, twin.Description.Kind);
        Assert.NotEqual(device.Description.Kind, other.Description.Kind);
    }

    /// <summary>The only slot is read by a forward under way: the load waits for it, and the device answers meanwhile.</summary>
    [Fact]
    public async Task A_load_that_waits_for_a_forward_holds_up_nobody()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 2);
        using CudaExpertDevice device = Open(model, memory: new ExpertShape(model.Config, isInt4: true).SlotBytes);
        using ExpertWork work = device.CreateWork(1, 1);
        ushort[] row = Samples.GaussianBf16(32, 1);
        device.Load(First, model);
        Machine.Devices[0].Faults.LaunchGate.Reset();
        Task forward = Task.Run(() => Forward(device, work, Layer, row, (0, 0)));
        await Eventually.TrueAsync(() => Machine.Devices[0].LaunchesAtGate == 1, "the forward is under way"); // and the table was told of the load
        await Eventually.TrueAsync(() => Machine.Devices[0].EventWaits == 1, "the forward is waited for");
        Assert.True(device.Unload(First));
        Task load = Task.Run(() => device.Load(Second, model));
        await Eventually.TrueAsync(() => Machine.Devices[0].EventWaits == 2, "the load waits");

        Task<bool> answers = Task.Run(() => device.Holds(First) || device.Holds(Second) || device.Unload(First));
        Assert.False(await answers.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.False(load.IsCompleted);
        Machine.Devices[0].Faults.LaunchGate.Set();
        await Task.WhenAll(forward, load);
        Assert.Equal((PairStatus.Done, true), (work.Statuses[0], device.Holds(Second)));
    }

    [Fact]
    public void A_tensor_that_is_missing_leaves_the_device_as_it_was()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 2);
        using CudaExpertDevice device = Open(model, memory: new ExpertShape(model.Config, isInt4: true).SlotBytes);
        model.Remove(model.Catalog.Expert(Layer, 0, "down_proj", "weight_scale"));
        Assert.Throws<CheckpointException>(() => device.Load(First, model));
        device.Load(Second, model); // into the only slot
        Assert.Null(device.Lost);
    }

    [Fact]
    public void Pairs_of_no_expert_and_layers_without_any_are_not_computed()
    {
        using RandomExperts model = new(int4: true, 32, 32, experts: 2);
        using CudaExpertDevice device = Open(model);
        device.Load(First, model);
        using ExpertWork work = device.CreateWork(2, 8);
        ushort[] rows = Samples.GaussianBf16(64, 3);
        Forward(device, work, Layer, rows, (0, 0), (1, 5), (7, 0), (0, -1), (2, 0), (0, 2), (-1, 0), (1, 0));
        Assert.Equal([PairStatus.Done, .. Enumerable.Repeat(PairStatus.Failed, 6), PairStatus.Done], work.Statuses.ToArray());
        Forward(device, work, 0, rows, (0, 0));
        Assert.Equal(PairStatus.NotHeld, work.Statuses[0]);
        Forward(device, work, 9, rows, (0, 0));
        Assert.Equal(PairStatus.NotHeld, work.Statuses[0]);
        Forward(device, work, Layer, rows, []);
    }

    /// <summary>One slot, two experts that take it in turn while rows are computed, on a device that does everything as late as it may.</summary>
    [Fact]
    public async Task An_expert_that_moves_is_answered_right_or_not_at_all()
    {
        Install(new FakeGpu { MemoryBytes = 64 << 20, Lazy = true });
        using RandomExperts model = new(int4: true, 32, 32, experts: 2);
        using CudaExpertDevice device = Open(model, memory: new ExpertShape(model.Config, isInt4: true).SlotBytes);
        using ExpertWork work = device.CreateWork(1, 2);
        ushort[] row = Samples.GaussianBf16(32, 3);
        ushort[][] expected = new ushort[2][];
        for (int expert = 0; expert < 2; expert++)
        {
            device.Load(new(Layer, expert), model);
            Forward(device, work, Layer, row, (0, expert));
            expected[expert] = work.Outputs.ToArray();
            device.Unload(new(Layer, expert));
        }

        Assert.NotEqual(expected[0], expected[1]);
        Task moving = Task.Run(() =>
        {
            for (int turn = 0; turn < 20; turn++)
            {
                device.Load(new(Layer, turn % 2), model);
                device.Unload(new(Layer, turn % 2));
            }
        });
        int answered = 0;
        while (!moving.IsCompleted || answered == 0)
        {
            if (moving.IsCompleted)
                device.Load(First, model);
            Forward(device, work, Layer, row, (0, 0), (0, 1));
            for (int expert = 0; expert < 2; expert++)
            {
                if (work.Statuses[expert] == PairStatus.NotHeld)
                    continue;
                Assert.Equal(PairStatus.Done, work.Statuses[expert]);
                Samples.SameBits(expected[expert], work.Outputs.Slice(expert * 32, 32), $"expert {expert}");
                answered++;
            }
        }

        await moving;
    }

    [UnmanagedCallersOnly]
    private static unsafe int TotalMemoryOfTheFirst(nint* bytes, int device)
    {
        *bytes = 64 << 20;
        return device == 0 ? 0 : 999;
    }
}
