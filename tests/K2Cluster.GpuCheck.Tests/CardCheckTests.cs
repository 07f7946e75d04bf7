using System.Text.Json;
using K2Cluster.PtxEmulator.FakeDriver;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.Tests;
using ManagedCuda;

namespace K2Cluster.GpuCheck.Tests;

/// <summary>The whole check, quick, on a card that does not exist. A process has one driver: one test after another.</summary>
public sealed class CardCheckTests
{
    private static readonly FakeGpu Gpu = new() { Name = "Fake GPU 9000 (emulated)", MemoryBytes = 64 << 20, MaxThreadsPerBlock = 256, Emulation = new EmulatorOptions { CheckShared = false } };

    [Fact]
    public void The_committed_kernels_pass_and_the_report_is_written()
    {
        using TemporaryDirectory directory = new();
        using FakeMachine machine = FakeMachine.Install(Gpu);

        (int code, string output, string error) = Run(directory.Path);

        Assert.Equal("", error);
        Assert.Equal(0, code);
        Assert.Empty(machine.Faults);
        Assert.Empty(machine.Leaks);
        Assert.Contains("every kernel agrees", output, StringComparison.Ordinal);
        string file = Path.Combine(directory.Path, "gpu-fake-gpu-9000-emulated-quick");
        Assert.Contains("# Fake GPU 9000 (emulated)", File.ReadAllText(file + ".md"), StringComparison.Ordinal);
        JsonElement report = JsonDocument.Parse(File.ReadAllText(file + ".json")).RootElement;
        Assert.True(report.GetProperty("passed").GetBoolean());
        string[] kernels = ["k2_copy", "k2_route", .. new[] { "int4", "bf16" }.SelectMany(format => (string[])[$"k2_shuffle_{format}", .. Products(format)])];
        Assert.Equal(
            new[] { "sm_80", "sm_90" }.SelectMany(target => kernels.Select(kernel => (target, kernel))).Order(),
            report.GetProperty("verified").EnumerateArray().Select(kernel => (kernel.GetProperty("target").GetString()!, kernel.GetProperty("kernel").GetString()!)).Order());
        Assert.True(report.GetProperty("ceiling").GetDouble() > 0);
        Assert.NotEmpty(report.GetProperty("kernels").EnumerateArray());
        Assert.Equal(["bf16", "int4"], report.GetProperty("layers").EnumerateArray().Select(layer => layer.GetProperty("format").GetString()).Distinct().Order());
        Assert.Contains("PyTorch", output, StringComparison.Ordinal);

        static string[] Products(string format) =>
            [$"k2_gate_up_{format}_small", $"k2_gate_up_{format}_large", $"k2_down_{format}_small", $"k2_down_{format}_large"];
    }

    [Theory]
    [InlineData("k2_copy", 0)]
    [InlineData("k2_route", 0)]
    [InlineData("k2_shuffle_int4", 0)]
    [InlineData("k2_gate_up_int4_small", 1)]
    [InlineData("k2_down_int4_small", 1)]
    [InlineData("k2_gate_up_int4_large", 1)]
    [InlineData("k2_down_bf16_large", 1)]
    public void A_kernel_that_was_changed_is_named(string kernel, int kind)
    {
        using TemporaryDirectory directory = new();
        using FakeMachine machine = FakeMachine.Install(Gpu);
        using EditedPtx edit = new(kernel, kind == 0 ? EditedPtx.LoseAStore : EditedPtx.SwapOperands);

        (int code, _, string error) = Run(directory.Path);

        Assert.True(edit.Edits > 0, "The edit found nothing to change.");
        Assert.Equal(1, code);
        Assert.Contains($" {kernel}: ", error, StringComparison.Ordinal);
    }

    [Fact]
    public void Without_a_driver_it_says_what_to_do()
    {
        Func<string, nint>? before = DriverLibrary.Find;
        try
        {
            DriverLibrary.Find = _ => throw new DllNotFoundException("There is no CUDA driver on this machine.");
            (int code, string output, string error) = Run(".");
            Assert.Equal(1, code);
            Assert.Equal("", output);
            Assert.Contains("no CUDA driver", error, StringComparison.Ordinal);
            Assert.Contains("docs/gpu-check.md", error, StringComparison.Ordinal);
        }
        finally
        {
            DriverLibrary.Find = before;
        }
    }

    [Fact]
    public void A_card_that_is_too_old_is_refused_by_name()
    {
        using FakeMachine machine = FakeMachine.Install(Gpu with { Name = "Old One", Capability = new Version(7, 5) });
        (int code, _, string error) = Run(".");
        Assert.Equal(1, code);
        Assert.Contains("Old One has compute capability 7.5", error, StringComparison.Ordinal);
    }

    private static (int Code, string Output, string Error) Run(string directory)
    {
        using StringWriter output = new();
        using StringWriter error = new();
        int code = CardCheck.Run(new CheckOptions(Device: 0, Quick: true, directory), output, error, CancellationToken.None);
        return (code, output.ToString(), error.ToString());
    }
}
