using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Memory;

namespace K2Cluster.PtxEmulator.Tests.Machine;

/// <summary>What a kernel must not do is found, and told with its place.</summary>
public sealed class FaultTests
{
    private const string Store = "add.s64 %rd31, %rd0, %rd30;\nst.global.u32 [%rd31], %r1;\n";
    private const string Shared = ".extern .shared .align 16 .b8 sm[];";

    /// <summary>%r10: the shared address of this thread's word.</summary>
    private const string Own = "mov.u64 %rd5, sm;\ncvt.u32.u64 %r5, %rd5;\nshl.b32 %r6, %r0, 2;\nadd.s32 %r10, %r5, %r6;\n";

    /// <summary>%r11: the word of the thread whose number differs in the given bits.</summary>
    private static string Other(int bits) => $"xor.b32 %r7, %r0, {bits};\nshl.b32 %r8, %r7, 2;\nadd.s32 %r11, %r5, %r8;\n";

    [Fact]
    public void A_store_past_the_end_names_kernel_line_block_warp_lane_and_address()
    {
        using DeviceMemory memory = new();
        ulong output = memory.Allocate(4 * 63, "output");
        string text = Ptx.Kernel($"mov.u32 %r1, 5;\n{Store}");
        using PtxProgram program = PtxProgram.Load(text, memory);
        PtxFaultException fault = Assert.Throws<PtxFaultException>(() => program.Launch("k", new LaunchShape(1, 64), [output], Ptx.Strict));
        Assert.Equal(PtxFaultKind.OutOfBounds, fault.Kind);
        int line = Array.FindIndex(text.Split('\n'), row => row.Contains("st.global", StringComparison.Ordinal)) + 1;
        Assert.Equal(("k", line, "st.global.u32", 0, 1, 31), (fault.Kernel, fault.Line, fault.Opcode, fault.Block, fault.Warp, fault.Lane));
        Assert.Equal(output + 252, fault.Address);
        Assert.Contains("252 bytes into output", fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ld.global.u32 %r1, [%rd0+2];", PtxFaultKind.Misaligned)]
    [InlineData("ld.global.v4.u32 {%r1,%r2,%r3,%r4}, [%rd0+8];", PtxFaultKind.Misaligned)]
    [InlineData("ld.global.u32 %r1, [%rd0+-4];", PtxFaultKind.OutOfBounds)]
    [InlineData("mov.u64 %rd1, 0; ld.global.u32 %r1, [%rd1];", PtxFaultKind.OutOfBounds)]
    [InlineData("ld.global.u32 %r1, [%rd0];", PtxFaultKind.Uninitialised)]
    [InlineData("add.s32 %r1, %r2, 1;", PtxFaultKind.Uninitialised)]
    [InlineData("@%p3 mov.u32 %r1, 1;", PtxFaultKind.Uninitialised)]
    [InlineData("mov.u32 %r2, %r3; mov.u32 %r4, %r2; add.s32 %r1, %r4, 1;", PtxFaultKind.Uninitialised)]
    [InlineData("mov.u32 %r2, 0; div.u32 %r1, %r0, %r2;", PtxFaultKind.BadOperation)]
    [InlineData("LOOP: bra LOOP;", PtxFaultKind.Endless)]
    [InlineData("trap;", PtxFaultKind.BadOperation)]
    [InlineData("bar.sync 16;", PtxFaultKind.BadOperation)]
    [InlineData("bar.sync 1, 48;", PtxFaultKind.BadOperation)]
    [InlineData("bar.sync 1, 64;", PtxFaultKind.BadOperation)]
    public void Bad_accesses_registers_and_operations_are_found(string body, PtxFaultKind kind) => Assert.Equal(kind, Ptx.Fault(body).Kind);

    [Fact]
    public void A_register_that_only_some_lanes_wrote_is_missed_in_the_others_alone()
    {
        const string body = "setp.lt.u32 %p1, %r0, 7;\n@%p1 mov.u32 %r2, 4;\n";
        PtxFaultException fault = Ptx.Fault($"{body}add.s32 %r1, %r2, 1;");
        Assert.Equal((PtxFaultKind.Uninitialised, 7), (fault.Kind, fault.Lane));
        Assert.Contains("%r2", fault.Message, StringComparison.Ordinal);
        Assert.Equal(5u, Ptx.Run($"{body}mov.u32 %r1, 0;\n@%p1 add.s32 %r1, %r2, 1;\n{Store}")[6]);
    }

    [Fact]
    public void A_value_that_nobody_wrote_may_be_moved_but_not_used()
    {
        // As compilers write the end of a loop whose value is not needed on the way in.
        uint[] result = Ptx.Run($"mov.u32 %r2, %r3;\nmov.u32 %r2, 5;\nmov.u32 %r1, %r2;\n{Store}");
        Assert.Equal(5u, result[0]);
    }

    [Fact]
    public void Memory_that_was_freed_is_found()
    {
        using DeviceMemory memory = new();
        ulong output = memory.Allocate(128, "gone");
        memory.Free(output);
        using PtxProgram program = PtxProgram.Load(Ptx.Kernel($"mov.u32 %r1, 5;\n{Store}"), memory);
        PtxFaultException fault = Assert.Throws<PtxFaultException>(() => program.Launch("k", new LaunchShape(1, 32), [output], Ptx.Strict));
        Assert.Equal(PtxFaultKind.UseAfterFree, fault.Kind);
        Assert.Equal(DeviceMemoryError.DoubleFree, Assert.Throws<DeviceMemoryException>(() => memory.Free(output)).Error);
    }

    [Theory]
    // Written by one warp, read by another.
    [InlineData("", PtxFaultKind.SharedRace)]
    // A barrier of the wrong warps only: 0 with 1, 2 with 3.
    [InlineData("shr.u32 %r20, %r0, 6;\nbar.sync %r20, 64;\n", PtxFaultKind.SharedRace)]
    [InlineData("bar.warp.sync -1;\n", PtxFaultKind.SharedRace)]
    public void A_missing_barrier_is_a_race(string barrier, PtxFaultKind kind)
    {
        string body = $"{Own}{Other(64)}st.shared.u32 [%r10], %r0;\n{barrier}ld.shared.u32 %r1, [%r11];\n{Store}";
        PtxFaultException fault = Ptx.Fault(body, threads: 128, shared: 512, sharedText: Shared);
        Assert.True(fault.Kind == kind || fault.Kind == PtxFaultKind.Uninitialised, fault.Message);
        Assert.Equal("ld.shared.u32", fault.Opcode);
        uint[] right = Ptx.Run($"{Own}{Other(64)}st.shared.u32 [%r10], %r0;\nbar.sync 0;\nld.shared.u32 %r1, [%r11];\n{Store}", 128, 512, Shared);
        Assert.Equal(64u, right[0]);
    }

    [Fact]
    public void A_race_is_found_whichever_warp_comes_first()
    {
        // Warp 0 writes what warp 1 reads; after a barrier the one that came last goes on first.
        string body = $$"""
            {{Own}}
            st.shared.u32 [%r10], %r0;
            bar.sync 0;
            ld.shared.u32 %r1, [%r10];
            setp.ge.u32 %p1, %r0, 32;
            @%p1 bra DONE;
            st.shared.u32 [%r10+128], %r1;
            DONE:
            {{Store}}
            """;
        PtxFaultException fault = Ptx.Fault(body, threads: 64, shared: 256, sharedText: Shared);
        Assert.Equal(PtxFaultKind.SharedRace, fault.Kind);
        Assert.Contains("which warp 1 read", fault.Message, StringComparison.Ordinal);
        fault = Ptx.Fault(body.Replace("setp.ge", "setp.lt", StringComparison.Ordinal).Replace("+128", "+-128", StringComparison.Ordinal), threads: 64, shared: 256, sharedText: Shared);
        Assert.Equal(PtxFaultKind.SharedRace, fault.Kind);
        Assert.Contains("which warp 1 lane 0 wrote", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Barriers_order_through_a_third_warp()
    {
        // 0 → 1 by barrier 1, 1 → 2 by barrier 2: what 0 wrote, 2 may read.
        string body = $$"""
            {{Own}}
            mov.u32 %r1, 0;
            shr.u32 %r20, %r0, 5;
            setp.eq.s32 %p1, %r20, 0;
            setp.eq.s32 %p2, %r20, 1;
            @%p1 bra FIRST;
            @%p2 bra SECOND;
            bar.sync 2, 64;
            ld.shared.u32 %r1, [%r10+-256];
            bra.uni DONE;
            FIRST:
            st.shared.u32 [%r10], %r0;
            bar.sync 1, 64;
            bra.uni DONE;
            SECOND:
            bar.sync 1, 64;
            bar.sync 2, 64;
            DONE:
            {{Store}}
            """;
        Assert.Equal(5u, Ptx.Run(body, threads: 96, shared: 384, sharedText: Shared)[69]);
        PtxFaultException fault = Ptx.Fault(body.Replace("bar.sync 1, 64;\nbar.sync 2", "bar.sync 2", StringComparison.Ordinal).Replace("bar.sync 1, 64;", "", StringComparison.Ordinal), 96, 384, Shared);
        Assert.Equal(PtxFaultKind.SharedRace, fault.Kind);
    }

    [Fact]
    public void Arriving_at_a_barrier_passes_work_on_but_sees_none()
    {
        string body = $$"""
            {{Own}}
            mov.u32 %r1, 0;
            setp.ge.u32 %p1, %r0, 32;
            @%p1 bra CONSUMER;
            st.shared.u32 [%r10], %r0;
            bar.arrive 1, 64;
            bra.uni DONE;
            CONSUMER:
            bar.sync 1, 64;
            ld.shared.u32 %r1, [%r10+-128];
            DONE:
            {{Store}}
            """;
        Assert.Equal(3u, Ptx.Run(body, threads: 64, shared: 256, sharedText: Shared)[35]);
        // The producer goes on and overwrites what the consumer may still read.
        PtxFaultException fault = Ptx.Fault(
            body.Replace("bar.arrive 1, 64;", "bar.arrive 1, 64;\nst.shared.u32 [%r10], %r0;", StringComparison.Ordinal), 64, 256, Shared);
        Assert.Equal(PtxFaultKind.SharedRace, fault.Kind);
    }

    [Fact]
    public void Lanes_of_one_warp_need_a_warp_barrier_between_them()
    {
        string body = $"{Own}{Other(1)}st.shared.u32 [%r10], %r0;\nbar.warp.sync -1;\nld.shared.u32 %r1, [%r11];\n{Store}";
        Assert.Equal(1u, Ptx.Run(body, shared: 128, sharedText: Shared)[0]);
        Assert.Equal(PtxFaultKind.SharedRace, Ptx.Fault(body.Replace("bar.warp.sync -1;\n", "", StringComparison.Ordinal), shared: 128, sharedText: Shared).Kind);
        Assert.Equal(PtxFaultKind.SharedRace, Ptx.Fault(body + "st.shared.u32 [%r10], %r1;", shared: 128, sharedText: Shared).Kind);
        Ptx.Run(body + "bar.warp.sync -1;\nst.shared.u32 [%r10], %r1;", shared: 128, sharedText: Shared);
    }

    [Fact]
    public void Lanes_that_write_different_values_to_one_place_at_once_are_a_race()
    {
        Ptx.Run($"{Own}mov.u32 %r1, 5;\nst.shared.u32 [sm], %r1;\n{Store}", shared: 128, sharedText: Shared);
        Assert.Equal(PtxFaultKind.SharedRace, Ptx.Fault($"{Own}st.shared.u32 [sm], %r0;", shared: 128, sharedText: Shared).Kind);
    }

    [Fact]
    public void Neighbouring_bytes_of_two_warps_are_no_race()
    {
        const string body =
            """
            mov.u64 %rd5, sm;
            cvt.u64.u32 %rd6, %r0;
            shl.b64 %rd7, %rd6, 1;
            and.b64 %rd8, %rd6, 31;
            shl.b64 %rd8, %rd8, 2;
            shr.u64 %rd9, %rd6, 5;
            shl.b64 %rd9, %rd9, 1;
            add.s64 %rd8, %rd8, %rd9;
            add.s64 %rd5, %rd5, %rd8;
            cvt.u16.u32 %rs1, %r0;
            st.shared.u16 [%rd5], %rs1;
            ld.shared.u16 %rs2, [%rd5];
            cvt.u32.u16 %r1, %rs2;
            """;
        Assert.Equal(40u, Ptx.Run(body + Store, threads: 64, shared: 128, sharedText: Shared)[40]);
    }

    [Theory]
    [InlineData("ld.shared.u32 %r1, [%r10];", PtxFaultKind.Uninitialised)]
    [InlineData("st.shared.u32 [%r10+128], %r0;", PtxFaultKind.OutOfBounds)]
    [InlineData("st.shared.u32 [%r6], %r0;", PtxFaultKind.OutOfBounds)]
    [InlineData("st.shared.u32 [%r10+2], %r0;", PtxFaultKind.Misaligned)]
    [InlineData("st.shared.v2.u32 [%r10], {%r0,%r0};", PtxFaultKind.Misaligned)]
    public void Bad_accesses_to_shared_memory_are_found(string access, PtxFaultKind kind) =>
        Assert.Equal(kind, Ptx.Fault(Own + access, shared: 128, sharedText: Shared).Kind);

    [Theory]
    [InlineData("cp.async.wait_group 0;\nbar.sync 0;\n", null)]
    [InlineData("cp.async.wait_group 1;\nbar.sync 0;\n", PtxFaultKind.AsyncCopyPending)]
    [InlineData("bar.sync 0;\n", PtxFaultKind.AsyncCopyPending)]
    [InlineData("cp.async.wait_group 0;\n", PtxFaultKind.SharedRace)]
    public void An_asynchronous_copy_is_there_only_after_its_wait_and_a_barrier(string between, PtxFaultKind? kind)
    {
        using DeviceMemory memory = new();
        ulong source = memory.Allocate(256);
        ulong output = memory.Allocate(256);
        memory.Fill(source, 1, 256);
        string body = $"{Own}{Other(32)}add.s64 %rd6, %rd1, %rd30;\ncp.async.ca.shared.global [%r10], [%rd6], 4;\ncp.async.commit_group;\n{between}ld.shared.u32 %r1, [%r11];\n{Store}";
        using PtxProgram program = PtxProgram.Load(Ptx.Kernel(body, 2, Shared), memory);
        void Launch() => program.Launch("k", new LaunchShape(1, 64, 256), [output, source], Ptx.Strict);
        if (kind is null)
            Launch();
        else
            Assert.Contains(Assert.Throws<PtxFaultException>(Launch).Kind, new[] { kind.Value, PtxFaultKind.Uninitialised });
    }

    [Theory]
    [InlineData("setp.lt.u32 %p1, %r0, 5;\n@%p1 bra SKIP;\nbar.sync 0;\nSKIP:\n", PtxFaultKind.Divergence)]
    [InlineData("setp.lt.u32 %p1, %r0, 5;\n@%p1 bra SKIP;\nbar.warp.sync -1;\nSKIP:\n", PtxFaultKind.Divergence)]
    [InlineData("setp.lt.u32 %p1, %r0, 5;\n@%p1 shfl.sync.bfly.b32 %r1, %r0, 1, 31, -1;\n", PtxFaultKind.Divergence)]
    [InlineData("shfl.sync.bfly.b32 %r1, %r0, 1, 31, 15;\n", PtxFaultKind.Divergence)]
    [InlineData("setp.lt.u32 %p1, %r0, 32;\n@%p1 bra SKIP;\nbar.sync 0;\nSKIP:\n", PtxFaultKind.Deadlock)]
    [InlineData("setp.lt.u32 %p1, %r0, 32;\n@%p1 bar.sync 1, 64;\n", PtxFaultKind.Deadlock)]
    public void Barriers_and_warp_instructions_that_not_all_reach_are_found(string body, PtxFaultKind kind) =>
        Assert.Equal(kind, Ptx.Fault(body, threads: 64).Kind);

    [Fact]
    public void A_deadlock_tells_where_each_warp_is()
    {
        PtxFaultException fault = Ptx.Fault("setp.lt.u32 %p1, %r0, 32;\n@%p1 bra SKIP;\nbar.sync 0;\nSKIP:\n", threads: 64);
        Assert.Contains("warp 0 has ended, warp 1 waits at line", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_matrix_product_needs_the_whole_warp()
    {
        string product = "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1,%f2,%f3,%f4},{%r0,%r0,%r0,%r0},{%r0,%r0},{%f5,%f5,%f5,%f5};\n";
        Ptx.Run($"mov.f32 %f5, 0f00000000;\n{product}mov.b32 %r1, %f1;\n{Store}");
        PtxFaultException fault = Ptx.Fault($"mov.f32 %f5, 0f00000000;\nsetp.lt.u32 %p1, %r0, 31;\n@!%p1 bra SKIP;\n{product}SKIP:\n");
        Assert.Equal(PtxFaultKind.Divergence, fault.Kind);
        Assert.Contains("lanes 0x80000000 are elsewhere", fault.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("ld.global.nc.u32 %r1, [%rd31];\nst.global.u32 [%rd31], %r1;\n")]
    [InlineData("mov.u32 %r1, 1;\nst.global.u32 [%rd31], %r1;\nld.global.nc.u32 %r1, [%rd31];\n")]
    public void What_a_launch_reads_as_read_only_it_must_not_write(string body)
    {
        using DeviceMemory memory = new();
        ulong buffer = memory.Allocate(128);
        memory.Fill(buffer, 0, 128);
        using PtxProgram program = PtxProgram.Load(Ptx.Kernel($"add.s64 %rd31, %rd0, %rd30;\n{body}"), memory);
        Assert.Equal(PtxFaultKind.ReadOnlyWrite, Assert.Throws<PtxFaultException>(() => program.Launch("k", new LaunchShape(1, 32), [buffer], Ptx.Strict)).Kind);
    }

    [Fact]
    public void What_one_launch_read_the_next_may_write_also_after_many_launches()
    {
        using DeviceMemory memory = new();
        ulong buffer = memory.Allocate(128);
        memory.Fill(buffer, 0, 128);
        using PtxProgram reader = PtxProgram.Load(Ptx.Kernel("add.s64 %rd31, %rd0, %rd30;\nld.global.nc.u32 %r1, [%rd31];\n"), memory);
        using PtxProgram writer = PtxProgram.Load(Ptx.Kernel($"mov.u32 %r1, 3;\n{Store}"), memory);
        for (int i = 0; i < 300; i++)
        {
            reader.Launch("k", new LaunchShape(1, 32), [buffer], Ptx.Strict);
            writer.Launch("k", new LaunchShape(1, 32), [buffer], Ptx.Strict);
        }

        Assert.Equal(3u, memory.Read<uint>(buffer, 32)[31]);
    }

    [Theory]
    [InlineData(0, 32, 0)]
    [InlineData(1, 2048, 0)]
    [InlineData(1, 32, 300_000)]
    public void A_launch_that_does_not_fit_is_refused(int grid, int block, int shared)
    {
        using DeviceMemory memory = new();
        ulong output = memory.Allocate(128);
        using PtxProgram program = PtxProgram.Load(Ptx.Kernel(""), memory);
        Assert.Equal(PtxFaultKind.BadLaunch, Assert.Throws<PtxFaultException>(() => program.Launch("k", new LaunchShape(grid, block, shared), [output])).Kind);
        Assert.Equal(PtxFaultKind.BadLaunch, Assert.Throws<PtxFaultException>(() => program.Launch("k", new LaunchShape(1, 32), [output, 3])).Kind);
        Assert.Equal(PtxFaultKind.BadLaunch, Assert.Throws<PtxFaultException>(() => program.Launch("k", new LaunchShape(1, 32), [3])).Kind);
    }

    [Fact]
    public void What_nobody_wrote_reads_as_all_ones_on_the_host()
    {
        using DeviceMemory memory = new();
        ulong buffer = memory.Allocate(8);
        memory.Write<byte>(buffer, [1, 2]);
        Assert.Equal([1, 2, 255, 255, 255, 255, 255, 255], memory.Read<byte>(buffer, 8));
    }
}
