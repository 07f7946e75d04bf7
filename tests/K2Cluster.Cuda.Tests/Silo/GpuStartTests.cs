using System.Collections.Concurrent;
using System.Net;
using System.Runtime.InteropServices;
using K2Cluster.Cluster;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Cuda.Tests.Device;
using K2Cluster.Embedding;
using K2Cluster.Hosting;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.PtxEmulator.FakeDriver;
using K2Cluster.Tests;
using ManagedCuda;
using ManagedCuda.BasicTypes;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cuda.Tests.Silo;

/// <summary>The devices that a silo starts with, and what it says of those that it does not.</summary>
public sealed class GpuStartTests : FakeDriverTest
{
    private readonly LogLines _log = new();

    [Fact]
    public void Without_a_driver_it_says_so_once_and_uses_its_cpu()
    {
        using NoDriver none = new();
        Assert.Equal(1, StartedShards("auto"));
        Assert.Equal(
            ["Information There is no CUDA driver on this machine: libcuda.so.1 cannot be loaded. Experts are computed on the CPU."],
            _log.Lines.Where(line => line.Contains("CUDA", StringComparison.Ordinal)));
    }

    [Fact]
    public void Without_a_driver_a_gpu_asked_for_by_number_ends_the_start()
    {
        using NoDriver none = new();
        K2FailureException failure = Assert.Throws<K2FailureException>(() => StartedShards("cuda:0"));
        Assert.Equal("--device cuda:0: There is no CUDA driver on this machine: libcuda.so.1 cannot be loaded.", failure.Message);
    }

    [Fact]
    public void A_gpu_that_fails_between_its_check_and_its_first_buffers_is_left_out()
    {
        InstallTwoOfWhichTheFirstBreaksAfterItsCheck();
        Assert.Equal(2, StartedShards("auto"));
        string line = Assert.Single(_log.Lines, line => line.Contains("left out", StringComparison.Ordinal));
        Assert.StartsWith("Warning A GPU is left out: cuda:0 A is lost: cu", line, StringComparison.Ordinal);
        Assert.Contains("CUDA_ERROR_ECC_UNCORRECTABLE", line, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("cuda:0")]
    [InlineData("cuda:1,0")]
    public void A_gpu_asked_for_by_number_that_fails_then_ends_the_start(string devices)
    {
        InstallTwoOfWhichTheFirstBreaksAfterItsCheck();
        K2FailureException failure = Assert.Throws<K2FailureException>(() => StartedShards(devices));
        Assert.StartsWith($"--device {devices}: cuda:0 A is lost: cu", failure.Message, StringComparison.Ordinal);
        Assert.Contains("CUDA_ERROR_ECC_UNCORRECTABLE", failure.Message, StringComparison.Ordinal);
    }

    private void InstallTwoOfWhichTheFirstBreaksAfterItsCheck()
    {
        Install(new FakeGpu { Name = "A", MemoryBytes = 64 << 20 }, new FakeGpu { Name = "B", MemoryBytes = 64 << 20 });
        _log.OnLine = line =>
        {
            if (line.StartsWith("Information cuda:0 A is a device", StringComparison.Ordinal))
                Machine.Devices[0].Break(CUResult.ErrorECCUncorrectable);
        };
    }

    /// <summary>Makes the shards of a gateway that embeds its silo, as it does when it starts.</summary>
    private int StartedShards(string device)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings());
        builder.Logging.AddProvider(_log);
        K2Options options = new()
        {
            Role = K2Role.Gateway,
            Model = Repository.Fixture("tiny-k2"),
            Name = "tiny-k2",
            Cluster = ClusterMode.Embedded,
            ClusterId = "test",
            SiloName = "silo",
            Device = DeviceChoice.TryParse(device)!,
            CpuActivations = CpuActivations.Bits16,
            Memory = 64 << 20,
            KvMemory = 1 << 20,
            PrefixCache = false,
            Speculate = 0,
            MaxRunning = 1,
            MaxWaiting = 1,
            StepTokens = 1,
            ChunkTokens = 1,
            Threads = 1,
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Advertise = new IPEndPoint(IPAddress.Loopback, 0),
            Http = new HttpAddress(new IPEndPoint(IPAddress.Loopback, 0)),
            DrainTimeout = TimeSpan.Zero,
            Insecure = false,
        };
        builder.AddK2Member(options);
        using IHost host = builder.Build();
        ILocalShards shards = host.Services.GetRequiredService<ILocalShards>();
        return Enumerable.Range(0, 4).Count(slot => shards.TryGet(new ShardId(options.ClusterId, options.SiloName, slot), out _));
    }

    /// <summary>A machine without libcuda, which this one may be.</summary>
    private sealed class NoDriver : IDisposable
    {
        public NoDriver()
        {
            if (NativeLibrary.TryLoad("libcuda.so.1", out _))
                DriverLibrary.Find = _ => throw new DllNotFoundException("There is no CUDA driver on this machine: libcuda.so.1 cannot be loaded.");
        }

        public void Dispose() => DriverLibrary.Find = null;
    }

    private sealed class LogLines : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public Action<string> OnLine { get; set; } = _ => { };

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            string line = $"{logLevel} {formatter(state, exception)}";
            Lines.Enqueue(line);
            OnLine(line);
        }

        public void Dispose()
        {
        }
    }
}
