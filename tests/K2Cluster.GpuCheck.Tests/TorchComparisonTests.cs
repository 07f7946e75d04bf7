using K2Cluster.GpuCheck.Measures;
using K2Cluster.GpuCheck.Reports;
using K2Cluster.Tests;

namespace K2Cluster.GpuCheck.Tests;

/// <summary>PyTorch's times beside ours: what a Python says is taken, and none, or one that does not end, is told in a line.</summary>
public sealed class TorchComparisonTests
{
    private static readonly KernelResult[] Kernels =
    [
        new("sm_80", "k2_route", 4, 32, new Times(1, 1), 1, 0.1, 0),
        new("sm_80", "k2_gate_up_int4_small", 4, 8, new Times(1, 1), 1, 0.1, 0),
        new("sm_80", "k2_down_int4_small", 4, 8, new Times(1, 1), 1, 0.1, 0),
        new("sm_80", "k2_down_int4_large", 4, 16, new Times(1, 1), 1, 0.1, 0),
    ];

    [Fact]
    public void Times_stand_beside_the_products_of_their_shape()
    {
        // Answers the shapes that it is asked for; of 16 rows it says nothing.
        (IReadOnlyList<KernelResult> kernels, string? problem) = Run("""while read experts rows; do [ $rows = 8 ] && echo "$experts $rows 12.5 6.25"; done; echo noise""");

        Assert.Null(problem);
        Assert.Equal([null, 12.5, 6.25, null], kernels.Select(kernel => kernel.TorchMicroseconds));
    }

    [Theory]
    [InlineData("echo no module named torch", "module named torch")]
    [InlineData("echo 4 8 -1 NaN; exit 1", "told no times")]
    [InlineData("exec sleep 60", "was ended after 1 s")]
    public void Without_times_there_is_a_line_that_says_why(string python, string words)
    {
        (IReadOnlyList<KernelResult> kernels, string? problem) = Run(python);

        Assert.Contains(words, problem, StringComparison.Ordinal);
        Assert.Equal(Kernels, kernels);
    }

    [Fact]
    public void Without_Python_there_is_a_line_that_says_so()
    {
        TorchComparison torch = new("/nowhere/python3", TimeSpan.FromSeconds(60));
        Assert.Equal(Kernels, torch.AddTo(Kernels, 0, Sizes(), 1 << 20, 1));
        Assert.Contains("/nowhere/python3", torch.Problem, StringComparison.Ordinal);
    }

    private static (IReadOnlyList<KernelResult> Kernels, string? Problem) Run(string shell)
    {
        using TemporaryDirectory directory = new();
        string python = Path.Combine(directory.Path, "python3");
        File.WriteAllText(python, $"#!/bin/sh\n{shell}\n");
        if (!OperatingSystem.IsWindows())
            File.SetUnixFileMode(python, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        TorchComparison torch = new(python, shell.Contains("sleep", StringComparison.Ordinal) ? TimeSpan.Zero : TimeSpan.FromSeconds(60));
        return (torch.AddTo(Kernels, 0, Sizes(), 1 << 20, 1), torch.Problem);
    }

    private static ExpertSizes Sizes() => new(7168, 2048, IsInt4: true);
}
