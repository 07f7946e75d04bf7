using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Memory;

namespace K2Cluster.PtxEmulator.Tests;

/// <summary>Small kernels for tests: one entry k over a body, with the registers that bodies use.</summary>
internal static class Ptx
{
    /// <summary>One worker and few instructions: faults come in one order, and what does not end ends soon.</summary>
    public static EmulatorOptions Strict { get; } = new() { Workers = 1, MaxInstructions = 10_000_000 };

    /// <summary>A module with one entry, whose parameters are addresses p0, p1, … in %rd0, %rd1, ….</summary>
    public static string Kernel(string body, int parameters = 1, string shared = "")
    {
        IEnumerable<string> declared = Enumerable.Range(0, parameters).Select(i => $".param .u64 p{i}");
        IEnumerable<string> loads = Enumerable.Range(0, parameters).Select(i => $"ld.param.u64 %rd{i}, [p{i}];");
        return $$"""
            .version 7.8
            .target sm_80
            .address_size 64
            {{shared}}
            .visible .entry k({{string.Join(", ", declared)}})
            {
            .reg .pred %p<10>;
            .reg .b16 %rs<20>;
            .reg .b32 %r<60>;
            .reg .f32 %f<60>;
            .reg .b64 %rd<40>;
            .reg .f64 %fd<20>;
            {{string.Join("\n", loads)}}
            mov.u32 %r0, %tid.x;
            mul.wide.u32 %rd30, %r0, 4;
            {{body}}
            ret;
            }
            """;
    }

    /// <summary>Runs a body over one buffer that the kernel writes and gives the buffer, one word for each thread.</summary>
    public static uint[] Run(string body, int threads = 32, int shared = 0, string sharedText = "")
    {
        using DeviceMemory memory = new();
        ulong output = memory.Allocate(4 * threads);
        using PtxProgram program = PtxProgram.Load(Kernel(body, 1, sharedText), memory);
        program.Launch("k", new LaunchShape(1, threads, shared), [output], Strict);
        return memory.Read<uint>(output, threads);
    }

    /// <summary>The fault that a body meets.</summary>
    public static PtxFaultException Fault(string body, int threads = 32, int shared = 0, string sharedText = "") =>
        Assert.Throws<PtxFaultException>(() => Run(body, threads, shared, sharedText));
}
