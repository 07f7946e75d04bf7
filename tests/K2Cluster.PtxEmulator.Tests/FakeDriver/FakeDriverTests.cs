using K2Cluster.PtxEmulator.FakeDriver;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.PtxEmulator.Tests.FakeDriver;

/// <summary>The binding over the fake driver: what a program does right works, what it does wrong is found.</summary>
[Collection(nameof(FakeMachine))]
public sealed class FakeDriverTests : IDisposable
{
    private const string AddOne =
        """
        .version 7.8
        .target sm_80
        .address_size 64
        .visible .entry add_one(.param .u64 p, .param .u32 n)
        {
        .reg .pred %p<2>;
        .reg .b32 %r<8>;
        .reg .b64 %rd<4>;
        ld.param.u64 %rd0, [p];
        ld.param.u32 %r5, [n];
        mov.u32 %r0, %tid.x;
        mov.u32 %r1, %ctaid.x;
        mov.u32 %r2, %ntid.x;
        mad.lo.s32 %r3, %r1, %r2, %r0;
        setp.ge.u32 %p1, %r3, %r5;
        @%p1 ret;
        mul.wide.u32 %rd1, %r3, 4;
        add.s64 %rd2, %rd0, %rd1;
        ld.global.u32 %r4, [%rd2];
        add.s32 %r4, %r4, 1;
        st.global.u32 [%rd2], %r4;
        ret;
        }
        """;

    private FakeMachine _machine = FakeMachine.Install(new FakeGpu { MemoryBytes = 1 << 20 });

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void A_kernel_runs_over_memory_that_was_copied_in_and_out_on_a_stream()
    {
        using (PrimaryContext context = new(0))
        using (CudaStream stream = new(CUStreamFlags.NonBlocking))
        using (CudaPageLockedHostMemory<int> host = new(100))
        using (CudaDeviceVariable<int> device = new(100))
        {
            CudaKernel kernel = Load(context);
            for (int i = 0; i < 100; i++)
                Words(host)[i] = i;
            host.AsyncCopyToDevice(device.DevicePointer, 0, 0, 400, stream.Stream);
            kernel.RunAsync(stream.Stream, device.DevicePointer, 100u);
            host.AsyncCopyFromDevice(device.DevicePointer, 0, 0, 400, stream.Stream);
            stream.Synchronize();
            Assert.Equal(Enumerable.Range(1, 100), Words(host).ToArray());
        }

        Assert.Empty(_machine.Faults);
    }

    [Fact]
    public void A_graph_launches_its_kernels_in_order()
    {
        using PrimaryContext context = new(0);
        using CudaStream stream = new(CUStreamFlags.NonBlocking);
        using CudaDeviceVariable<int> device = new(8);
        device.CopyToDevice(new int[8]);
        CudaKernel kernel = Load(context);
        using CudaGraph graph = new();
        AddNode(graph, kernel, device.DevicePointer);
        AddNode(graph, kernel, device.DevicePointer);
        using CudaGraphExec exec = graph.Instantiate(default);
        exec.Launch(stream);
        exec.Launch(stream);
        stream.Synchronize();
        int[] result = new int[8];
        device.CopyToHost(result);
        Assert.Equal([4, 4, 4, 4, 4, 4, 4, 4], result);
        Assert.Equal(4, _machine.Devices[0].Launches);
    }

    [Fact]
    public void A_buffer_that_is_used_again_too_early_is_found_on_a_lazy_device()
    {
        Restart(new FakeGpu { Lazy = true });
        using PrimaryContext context = new(0);
        using CudaStream stream = new(CUStreamFlags.NonBlocking);
        using CudaPageLockedHostMemory<int> host = new(1);
        using CudaDeviceVariable<int> device = new(1);
        Words(host)[0] = 1;
        host.AsyncCopyToDevice(device.DevicePointer, 0, 0, 4, stream.Stream);
        Words(host)[0] = 2; // too early
        stream.Synchronize();
        int[] result = new int[1];
        device.CopyToHost(result);
        Assert.Equal(2, result[0]);
    }

    [Fact]
    public void Work_of_a_stream_begins_only_when_the_event_it_waits_for_is_reached()
    {
        using PrimaryContext context = new(0);
        using CudaStream first = new(CUStreamFlags.NonBlocking);
        using CudaStream second = new(CUStreamFlags.NonBlocking);
        using CudaEvent done = new(CUEventFlags.DisableTiming);
        using CudaDeviceVariable<int> device = new(32);
        device.CopyToDevice(new int[32]);
        CudaKernel kernel = Load(context);
        _machine.Devices[0].Faults.LaunchGate.Reset();
        kernel.RunAsync(first.Stream, device.DevicePointer, 32u);
        done.Record(first.Stream);
        second.WaitEvent(done.Event);
        device.MemsetAsync(7u, second.Stream);
        Assert.False(second.Query());
        Assert.False(done.Query());
        _machine.Devices[0].Faults.LaunchGate.Set();
        second.Synchronize();
        int[] result = new int[32];
        device.CopyToHost(result);
        Assert.All(result, value => Assert.Equal(7, value));
    }

    [Fact]
    public void An_access_out_of_bounds_makes_the_device_unusable_and_is_told_with_its_place()
    {
        using PrimaryContext context = new(0);
        using CudaStream stream = new(CUStreamFlags.NonBlocking);
        CudaDeviceVariable<int> device = new(31);
        device.CopyToDevice(new int[31]);
        CudaKernel kernel = Load(context);
        kernel.RunAsync(stream.Stream, device.DevicePointer, 32u);
        CudaException thrown = Assert.Throws<CudaException>(stream.Synchronize);
        Assert.Equal(CUResult.ErrorIllegalAddress, thrown.CudaError);
        Assert.Contains("CUDA_ERROR_ILLEGAL_ADDRESS", thrown.Message, StringComparison.Ordinal);
        Assert.Equal(CUResult.ErrorIllegalAddress, Assert.Throws<CudaException>(context.Synchronize).CudaError);
        Assert.Contains("OutOfBounds in add_one line 19 ld.global.u32 block 0 warp 0 lane 31", Assert.Single(_machine.Faults), StringComparison.Ordinal);
    }

    [Fact]
    public void Memory_ends_and_what_is_freed_can_be_had_again()
    {
        using PrimaryContext context = new(0);
        CudaDeviceVariable<byte> most = new(1 << 20);
        Assert.Equal(CUResult.ErrorOutOfMemory, Assert.Throws<CudaException>(() => new CudaDeviceVariable<byte>(1)).CudaError);
        Assert.Equal(0ul, (ulong)context.GetFreeDeviceMemorySize());
        most.Dispose();
        using CudaDeviceVariable<byte> again = new(1 << 20);
        Assert.Empty(_machine.Faults);
    }

    [Fact]
    public void Faults_come_when_they_were_put_in()
    {
        using PrimaryContext context = new(0);
        using CudaStream stream = new(CUStreamFlags.NonBlocking);
        FakeDevice fake = _machine.Devices[0];
        fake.Faults.OutOfMemoryAtAllocation(2);
        fake.Faults.StickyErrorAtLaunch(2, CUResult.ErrorECCUncorrectable);
        CudaDeviceVariable<int> device = new(32);
        Assert.Equal(CUResult.ErrorOutOfMemory, Assert.Throws<CudaException>(() => new CudaDeviceVariable<int>(32)).CudaError);
        device.CopyToDevice(new int[32]);
        CudaKernel kernel = Load(context);
        kernel.RunAsync(stream.Stream, device.DevicePointer, 32u);
        stream.Synchronize();
        kernel.RunAsync(stream.Stream, device.DevicePointer, 32u);
        Assert.Equal(CUResult.ErrorECCUncorrectable, Assert.Throws<CudaException>(stream.Synchronize).CudaError);
        Assert.Equal(CUResult.ErrorECCUncorrectable, Assert.Throws<CudaException>(() => new CudaDeviceVariable<int>(32)).CudaError);
        Assert.Empty(_machine.Faults);
    }

    [Fact]
    public void A_launch_that_cannot_be_is_refused_and_noted()
    {
        using PrimaryContext context = new(0);
        using CudaDeviceVariable<int> device = new(32);
        CudaKernel kernel = Load(context);
        kernel.DynamicSharedMemory = 100_000;
        Assert.Equal(CUResult.ErrorInvalidValue, Assert.Throws<CudaException>(() => kernel.RunAsync(default, device.DevicePointer, 32u)).CudaError);
        kernel.MaxDynamicSharedSizeBytes = 100_000;
        Assert.Throws<CudaException>(() => kernel.MaxDynamicSharedSizeBytes = 300_000);
        Assert.Equal(2, _machine.Faults.Count);
        Assert.Contains("100000 bytes of dynamic shared memory, at most 49152 as set", _machine.Faults[0], StringComparison.Ordinal);
    }

    [Fact]
    public void PTX_that_the_device_cannot_take_is_refused_with_the_reason()
    {
        Restart(new FakeGpu { Capability = new Version(7, 5) });
        using PrimaryContext context = new(0);
        byte[] log = new byte[500];
        CudaException thrown = Assert.Throws<CudaException>(() =>
            context.LoadModulePTX(Bytes(AddOne), [CUJITOption.ErrorLogBuffer, CUJITOption.ErrorLogBufferSizeBytes], [log, (uint)log.Length]));
        Assert.Equal(CUResult.ErrorNoBinaryForGPU, thrown.CudaError);
        Assert.StartsWith("PTX for sm_80 does not run on compute capability 7.5", System.Text.Encoding.UTF8.GetString(log), StringComparison.Ordinal);
        thrown = Assert.Throws<CudaException>(() =>
            context.LoadModulePTX(Bytes(AddOne.Replace("sm_80", "sm_70", StringComparison.Ordinal).Replace("mad.lo", "mad.up", StringComparison.Ordinal)), [CUJITOption.ErrorLogBuffer, CUJITOption.ErrorLogBufferSizeBytes], [log, (uint)log.Length]));
        Assert.Equal(CUResult.ErrorInvalidPtx, thrown.CudaError);
        Assert.StartsWith("image(14): mad.up.s32", System.Text.Encoding.UTF8.GetString(log), StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_not_given_back_is_a_leak()
    {
        PrimaryContext context = new(0);
        CudaStream stream = new(CUStreamFlags.NonBlocking);
        CudaDeviceVariable<int> device = new(32);
        Assert.Equal(3, _machine.Leaks.Count);
        device.Dispose();
        stream.Dispose();
        context.Dispose();
        Assert.Empty(_machine.Leaks);
    }

    [Fact]
    public void Settings_of_a_process_make_devices_and_their_faults()
    {
        _machine.Dispose();
        _machine = FakeGpuSettings.Install("name=A,capability=8.6,memory=3MiB,sms=4,threads=512,oom=1;name=B,launch=1:700");
        Assert.Equal(["A", "B"], _machine.Devices.Select(device => device.Gpu.Name));
        CudaDeviceProperties properties = CudaContext.GetDeviceInfo(0);
        Assert.Equal((4, 512, 99 * 1024), (properties.MultiProcessorCount, properties.MaxThreadsPerBlock, properties.MaxSharedMemoryPerBlockOptin));
        Assert.Equal(3ul << 20, (ulong)properties.TotalGlobalMemory);
        using PrimaryContext context = new(0);
        Assert.Throws<CudaException>(() => new CudaDeviceVariable<byte>(1));
        _machine.Dispose();
        Assert.Throws<FormatException>(() => FakeGpuSettings.Install("colour=red"));
    }

    private static byte[] Bytes(string text) => [.. System.Text.Encoding.UTF8.GetBytes(text), 0];

    private static unsafe Span<int> Words(CudaPageLockedHostMemory<int> host) => new((void*)host.PinnedHostPointer, host.Size);

    private static CudaKernel Load(PrimaryContext context) =>
        new("add_one", context.LoadModulePTX(Bytes(AddOne), [], [])) { BlockDimensions = new(32, 1, 1), GridDimensions = new(4, 1, 1) };

    private static unsafe void AddNode(CudaGraph graph, CudaKernel kernel, CUdeviceptr pointer)
    {
        ulong* values = stackalloc ulong[] { (ulong)pointer.Pointer, 8 };
        nint* addresses = stackalloc nint[] { (nint)values, (nint)(values + 1) };
        graph.AddKernelNode([], kernel, (nint)addresses, 0);
    }

    private void Restart(FakeGpu gpu)
    {
        _machine.Dispose();
        _machine = FakeMachine.Install(gpu);
    }
}
