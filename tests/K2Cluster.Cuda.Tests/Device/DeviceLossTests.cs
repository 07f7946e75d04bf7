using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Tests;
using K2Cluster.Kernels.Tests.Devices;
using K2Cluster.PtxEmulator.FakeDriver;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Tests.Device;

/// <summary>What goes wrong on a card ends in an error that says it, and in nothing else.</summary>
public sealed class DeviceLossTests : FakeDriverTest
{
    private const int Layer = 1;

    private static readonly ExpertKey First = new(Layer, 0);
    private static readonly ExpertKey Second = new(Layer, 1);

    private readonly RandomExperts _model = new(int4: true, 32, 32, experts: 2);

    [Theory]
    [InlineData(false, "cuMemAlloc", 18)]
    [InlineData(true, "cuMemHostAlloc", 7)]
    public void Wherever_memory_runs_out_it_is_said_and_all_is_given_back(bool pinned, string call, int expected)
    {
        int failures = 0;
        for (long number = 1; ; number++)
        {
            if (pinned)
                Machine.Devices[0].Faults.OutOfMemoryAtPinnedAllocation(Machine.Devices[0].PinnedAllocations + number);
            else
                Machine.Devices[0].Faults.OutOfMemoryAtAllocation(Machine.Devices[0].Allocations + number);
            try
            {
                using CudaExpertDevice device = Open(_model);
                using ExpertWork work = device.CreateWork(1, 1);
                device.Load(First, _model);
                break;
            }
            catch (Exception exception)
            {
                Assert.Contains($"{call} (", exception.Message, StringComparison.Ordinal);
                Assert.Contains("CUDA_ERROR_OUT_OF_MEMORY", exception.Message, StringComparison.Ordinal);
                Assert.Empty(Machine.Leaks);
                failures++;
            }
        }

        Assert.Equal(expected, failures);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Without_memory_for_larger_buffers_the_others_go_on(bool pinned)
    {
        using CudaExpertDevice device = Open(_model);
        device.Load(First, _model);
        using ExpertWork work = device.CreateWork(1, 1);
        if (pinned)
            Machine.Devices[0].Faults.OutOfMemoryAtPinnedAllocation(Machine.Devices[0].PinnedAllocations + 2);
        else
            Machine.Devices[0].Faults.OutOfMemoryAtAllocation(Machine.Devices[0].Allocations + 2);
        InsufficientMemoryException full = Assert.Throws<InsufficientMemoryException>(() => device.CreateWork(8, 8));
        Assert.StartsWith($"cuda:0 Fake GPU has no memory left for this: cuMem{(pinned ? "Host" : "")}Alloc (", full.Message, StringComparison.Ordinal);

        Forward(device, work, Layer, Samples.GaussianBf16(32, 1), (0, 0));
        Assert.Equal((PairStatus.Done, null), (work.Statuses[0], device.Lost));
    }

    [Theory]
    [InlineData(CUResult.ErrorIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "Start this process again")]
    [InlineData(CUResult.ErrorECCUncorrectable, "CUDA_ERROR_ECC_UNCORRECTABLE:", "reset or replace the card")]
    [InlineData(CUResult.ErrorLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT", "dmesg")]
    public void An_error_that_stays_ends_the_device_and_nothing_else(CUResult error, string name, string remedy)
    {
        Install(new FakeGpu { MemoryBytes = 64 << 20 }, new FakeGpu { MemoryBytes = 64 << 20 });
        using CudaExpertDevice device = Open(_model);
        using CudaExpertDevice other = Open(_model, ordinal: 1);
        using ExpertWork work = device.CreateWork(1, 1);
        using ExpertWork otherWork = other.CreateWork(1, 1);
        device.Load(First, _model);
        other.Load(First, _model);

        Machine.Devices[0].Faults.StickyErrorAtLaunch(Machine.Devices[0].Launches + 2, error);
        DeviceLostException lost = Assert.Throws<DeviceLostException>(() => Forward(device, work, Layer, Samples.GaussianBf16(32, 1), (0, 0)));
        Assert.StartsWith("cuda:0 Fake GPU is lost: cu", lost.Message, StringComparison.Ordinal);
        Assert.Contains(name, lost.Message, StringComparison.Ordinal);
        Assert.Contains(remedy, lost.Message, StringComparison.Ordinal);

        Assert.Equal(lost.Message, device.Lost);
        Assert.False(device.Holds(First));
        Assert.False(device.Unload(First));
        Assert.Throws<DeviceLostException>(() => device.Load(Second, _model));
        Assert.Throws<DeviceLostException>(() => device.CreateWork(1, 1));
        Assert.Throws<DeviceLostException>(() => device.Forward(work));

        Forward(other, otherWork, Layer, Samples.GaussianBf16(32, 1), (0, 0));
        Assert.Equal((PairStatus.Done, null), (otherWork.Statuses[0], other.Lost));
    }

    /// <summary>The enumeration's names are ManagedCuda's, the text has the driver's.</summary>
    [Theory]
    [InlineData(CUResult.ErrorOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY")]
    [InlineData(CUResult.ErrorNoBinaryForGPU, "CUDA_ERROR_NO_BINARY_FOR_GPU")]
    [InlineData(CUResult.ErrorECCUncorrectable, "CUDA_ERROR_ECC_UNCORRECTABLE")]
    [InlineData(CUResult.NVLinkUncorrectable, "CUDA_ERROR_NVLINK_UNCORRECTABLE")]
    [InlineData(CUResult.UnsupportedPTXVersion, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION")]
    [InlineData(CUResult.ErrorInvalidPC, "CUDA_ERROR_INVALID_PC")]
    public void The_fake_driver_names_errors_as_the_real_one(CUResult error, string name)
    {
        _ = Machine;
        CudaContext.GetDeviceCount(); // the driver is found on first use
        Assert.Equal(name, new CudaException(error).CudaInternalErrorName);
    }

    [Fact]
    public void An_error_in_a_copy_of_a_load_ends_the_device_too()
    {
        using CudaExpertDevice device = Open(_model);
        Machine.Devices[0].Faults.StickyErrorAtCopy(Machine.Devices[0].Copies + 3);
        Assert.Throws<DeviceLostException>(() => device.Load(First, _model));
        Assert.NotNull(device.Lost);
    }

    [Theory]
    [InlineData(CUResult.ErrorOutOfMemory, typeof(InsufficientMemoryException))]
    [InlineData(CUResult.ErrorNotSupported, typeof(InvalidOperationException))]
    public void Errors_that_pass_fail_a_forward_and_three_in_a_row_end_the_device(CUResult error, Type first)
    {
        using CudaExpertDevice device = Open(_model);
        device.Load(First, _model);
        using ExpertWork work = device.CreateWork(1, 1);
        ushort[] row = Samples.GaussianBf16(32, 1);

        // The second copy of a forward is that of its outputs: its kernels are under way.
        long calls = Machine.Devices[0].CopyCalls;
        foreach (int call in (ReadOnlySpan<int>)[2, 4, 8, 10, 12])
            Machine.Devices[0].Faults.PassingErrorAtCopyCall(calls + call, error);
        Assert.Throws(first, () => Forward(device, work, Layer, row, (0, 0)));
        Assert.Throws(first, () => Forward(device, work, Layer, row, (0, 0)));
        Forward(device, work, Layer, row, (0, 0));
        Assert.Equal((PairStatus.Done, null), (work.Statuses[0], device.Lost));

        Assert.Throws(first, () => Forward(device, work, Layer, row, (0, 0)));
        Assert.Throws(first, () => Forward(device, work, Layer, row, (0, 0)));
        Assert.Throws<DeviceLostException>(() => Forward(device, work, Layer, row, (0, 0)));
        Assert.NotNull(device.Lost);
    }

    [Theory]
    [InlineData(CUResult.ErrorOutOfMemory, typeof(InsufficientMemoryException))]
    [InlineData(CUResult.ErrorNotSupported, typeof(InvalidOperationException))]
    public void Errors_that_pass_fail_a_load_and_three_in_a_row_end_the_device(CUResult error, Type first)
    {
        using CudaExpertDevice device = Open(_model);
        long start = Machine.Devices[0].CopyCalls;
        device.Load(First, _model);
        long calls = Machine.Devices[0].CopyCalls;
        long load = calls - start;
        device.Unload(First);
        calls++;

        // A load that fails at its first copy asks for no more; the third is a whole one.
        foreach (long call in (ReadOnlySpan<long>)[1, 2, load + 3, load + 4, load + 5])
            Machine.Devices[0].Faults.PassingErrorAtCopyCall(calls + call, error);
        Assert.Throws(first, () => device.Load(First, _model));
        Assert.Throws(first, () => device.Load(Second, _model));
        device.Load(First, _model);
        Assert.True(device.Holds(First));

        Assert.Throws(first, () => device.Load(Second, _model));
        Assert.Throws(first, () => device.Load(Second, _model));
        Assert.Null(device.Lost);
        DeviceLostException lost = Assert.Throws<DeviceLostException>(() => device.Load(Second, _model));
        Assert.Equal((lost.Message, false), (device.Lost, device.Holds(First)));
    }

    /// <summary>Had it gone on, the slot would have been free with its expert still in the table, and given to two.</summary>
    [Fact]
    public void A_device_whose_table_cannot_be_changed_is_given_up()
    {
        using CudaExpertDevice device = Open(_model);
        long before = Machine.Devices[0].CopyCalls;
        device.Load(First, _model);
        long last = Machine.Devices[0].CopyCalls - before;
        Machine.Devices[0].Faults.PassingErrorAtCopyCall(Machine.Devices[0].CopyCalls + last, CUResult.ErrorOutOfMemory);
        Assert.Throws<DeviceLostException>(() => device.Load(Second, _model));
        Assert.False(device.Holds(Second));
        Assert.Throws<DeviceLostException>(() => device.Load(Second, _model));
    }

    [Fact]
    public void A_card_that_breaks_between_calls_is_lost_at_the_next()
    {
        using CudaExpertDevice device = Open(_model);
        device.Load(First, _model);
        using ExpertWork work = device.CreateWork(1, 1);
        Forward(device, work, Layer, Samples.GaussianBf16(32, 1), (0, 0));
        Machine.Devices[0].Break(CUResult.ErrorUnknown);
        Assert.Null(device.Lost);
        device.Unload(First);
        Assert.NotNull(device.Lost);
    }

    protected override void Dispose(bool disposing)
    {
        _model.Dispose();
        base.Dispose(disposing);
    }
}
