using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Memory;

namespace K2Cluster.PtxEmulator.Tests.Machine;

/// <summary>How warps run: branches, loops, barriers, lanes that see each other.</summary>
public sealed class MachineTests
{
    private const string StoreResult = "add.s64 %rd31, %rd0, %rd30;\nst.global.u32 [%rd31], %r1;";

    private const string Shared = ".extern .shared .align 16 .b8 sm[];";

    [Fact]
    public void Every_thread_has_its_own_number() =>
        Assert.Equal(Enumerable.Range(0, 70).Select(i => (uint)i), Ptx.Run($"mov.u32 %r1, %r0;\n{StoreResult}", threads: 70));

    [Fact]
    public void Lanes_that_a_branch_parts_meet_again()
    {
        uint[] result = Ptx.Run(
            $"""
            setp.lt.u32 %p1, %r0, 10;
            @%p1 bra LOW;
            mov.u32 %r1, 200;
            bra.uni JOIN;
            LOW:
            mov.u32 %r1, 100;
            JOIN:
            activemask.b32 %r2;
            setp.eq.s32 %p2, %r2, -1;
            @%p2 add.s32 %r1, %r1, %r0;
            {StoreResult}
            """);
        Assert.Equal(Enumerable.Range(0, 32).Select(i => (uint)(i < 10 ? 100 + i : 200 + i)), result);
    }

    [Fact]
    public void A_loop_runs_for_each_lane_as_often_as_it_should_and_all_leave_it_together()
    {
        uint[] result = Ptx.Run(
            $"""
            mov.u32 %r1, 0;
            mov.u32 %r2, 0;
            LOOP:
            setp.ge.u32 %p1, %r2, %r0;
            @%p1 bra DONE;
            add.s32 %r2, %r2, 1;
            add.s32 %r1, %r1, %r2;
            bra.uni LOOP;
            DONE:
            bar.sync 0;
            {StoreResult}
            """, threads: 64);
        Assert.Equal(Enumerable.Range(0, 64).Select(i => (uint)(i * (i + 1) / 2)), result);
    }

    [Fact]
    public void Threads_that_end_early_do_not_hold_up_the_others()
    {
        uint[] result = Ptx.Run(
            $"""
            mov.u32 %r1, 7;
            {StoreResult}
            setp.ge.u32 %p1, %r0, 32;
            @%p1 ret;
            setp.ge.u32 %p2, %r0, 5;
            @%p2 ret;
            mov.u32 %r1, 9;
            {StoreResult}
            """, threads: 64);
        Assert.Equal(Enumerable.Range(0, 64).Select(i => i < 5 ? 9u : 7u), result);
    }

    [Fact]
    public void Warps_exchange_through_shared_memory_across_a_barrier()
    {
        uint[] result = Ptx.Run(
            $"""
            mov.u64 %rd5, sm;
            add.s64 %rd6, %rd5, %rd30;
            mul.lo.s32 %r5, %r0, 3;
            st.shared.u32 [%rd6], %r5;
            bar.sync 0;
            mov.u32 %r6, 127;
            sub.s32 %r7, %r6, %r0;
            mul.wide.u32 %rd7, %r7, 4;
            add.s64 %rd8, %rd5, %rd7;
            ld.shared.u32 %r1, [%rd8];
            {StoreResult}
            """, threads: 128, shared: 512, sharedText: Shared);
        Assert.Equal(Enumerable.Range(0, 128).Select(i => (uint)(3 * (127 - i))), result);
    }

    [Fact]
    public void A_named_barrier_holds_only_its_own_warps()
    {
        // Warps 0 and 1 exchange over barrier 1, warps 2 and 3 over barrier 2.
        uint[] result = Ptx.Run(
            $"""
            mov.u64 %rd5, sm;
            add.s64 %rd6, %rd5, %rd30;
            st.shared.u32 [%rd6], %r0;
            shr.u32 %r5, %r0, 6;
            add.s32 %r5, %r5, 1;
            bar.sync %r5, 64;
            xor.b32 %r7, %r0, 32;
            mul.wide.u32 %rd7, %r7, 4;
            add.s64 %rd8, %rd5, %rd7;
            ld.shared.u32 %r1, [%rd8];
            {StoreResult}
            """, threads: 128, shared: 512, sharedText: Shared);
        Assert.Equal(Enumerable.Range(0, 128).Select(i => (uint)(i ^ 32)), result);
    }

    [Fact]
    public void A_copy_that_was_waited_for_is_there_after_the_barrier()
    {
        using DeviceMemory memory = new();
        ulong source = memory.Allocate(1024);
        ulong output = memory.Allocate(256);
        memory.Write<uint>(source, Enumerable.Range(0, 256).Select(i => (uint)(1000 + i)).ToArray());
        using PtxProgram program = PtxProgram.Load(
            Ptx.Kernel(
                """
                mov.u64 %rd5, sm;
                cvt.u32.u64 %r5, %rd5;
                shl.b32 %r6, %r0, 4;
                add.s32 %r7, %r5, %r6;
                cvt.u64.u32 %rd6, %r6;
                add.s64 %rd7, %rd1, %rd6;
                cp.async.cg.shared.global [%r7], [%rd7], 16;
                cp.async.commit_group;
                cp.async.wait_group 0;
                bar.sync 0;
                mov.u32 %r8, 63;
                sub.s32 %r8, %r8, %r0;
                shl.b32 %r9, %r8, 2;
                add.s32 %r9, %r9, %r5;
                ld.shared.u32 %r1, [%r9];
                add.s64 %rd31, %rd0, %rd30;
                st.global.u32 [%rd31], %r1;
                """, 2, Shared), memory);
        program.Launch("k", new LaunchShape(1, 64, 1024), [output, source], Ptx.Strict);
        Assert.Equal(Enumerable.Range(0, 64).Select(i => (uint)(1063 - i)), memory.Read<uint>(output, 64));
    }

    [Fact]
    public void Blocks_have_their_places_and_all_run()
    {
        using DeviceMemory memory = new();
        ulong output = memory.Allocate(4 * 12);
        using PtxProgram program = PtxProgram.Load(
            Ptx.Kernel(
                """
                mov.u32 %r1, %ctaid.x;
                mov.u32 %r2, %ctaid.y;
                mov.u32 %r3, %nctaid.x;
                mad.lo.s32 %r4, %r2, %r3, %r1;
                mul.wide.u32 %rd5, %r4, 4;
                add.s64 %rd6, %rd0, %rd5;
                st.global.u32 [%rd6], %r4;
                """), memory);
        LaunchStatistics statistics = program.Launch("k", new LaunchShape(new Dim3(4, 3), 1), [output]);
        Assert.Equal(Enumerable.Range(0, 12).Select(i => (uint)i), memory.Read<uint>(output, 12));
        Assert.Equal(12 * 11, statistics.Instructions);
        Assert.Equal(12 * 11, statistics.LaneInstructions);
    }

    [Fact]
    public void Atomic_additions_of_all_threads_add_up()
    {
        using DeviceMemory memory = new();
        ulong counter = memory.Allocate(4);
        memory.Fill(counter, 0, 4);
        using PtxProgram program = PtxProgram.Load(Ptx.Kernel("atom.global.add.u32 %r1, [%rd0], 2;"), memory);
        program.Launch("k", new LaunchShape(8, 96), [counter]);
        Assert.Equal(2u * 8 * 96, memory.Read<uint>(counter, 1)[0]);
    }

    [Theory]
    [InlineData("up", 3, 0, new[] { 0, 1, 2, 0, 1 })]
    [InlineData("down", 3, 31, new[] { 3, 4, 5, 6, 7 })]
    [InlineData("bfly", 5, 31, new[] { 5, 4, 7, 6, 1 })]
    [InlineData("idx", 9, 31, new[] { 9, 9, 9, 9, 9 })]
    public void Lanes_read_each_other_by_shuffle(string mode, int by, int clamp, int[] first)
    {
        uint[] result = Ptx.Run($"shfl.sync.{mode}.b32 %r1|%p1, %r0, {by}, {clamp}, -1;\n{StoreResult}");
        Assert.Equal(first.Select(lane => (uint)lane), result[..5]);
        if (mode == "down")
            Assert.Equal(new uint[] { 31, 29, 30, 31 }, result[28..]);
    }

    [Fact]
    public void Votes_and_matches_see_all_lanes()
    {
        uint[] ballot = Ptx.Run($"setp.lt.u32 %p1, %r0, 3;\nvote.sync.ballot.b32 %r1, %p1, -1;\n{StoreResult}");
        Assert.All(ballot, word => Assert.Equal(7u, word));
        uint[] match = Ptx.Run($"and.b32 %r2, %r0, 1;\nmatch.any.sync.b32 %r1, %r2, -1;\n{StoreResult}");
        Assert.Equal([0x55555555u, 0xAAAAAAAAu], match[..2]);
    }

    [Fact]
    public void What_is_not_supported_is_refused_with_its_line_and_opcode()
    {
        using DeviceMemory memory = new();
        using PtxProgram program = PtxProgram.Load(".version 7.8\n.target sm_80\n.entry k() {\n.reg .b32 %r<2>;\nvadd.u32.u32.u32 %r0, %r1, %r1, %r1;\nret;\n}", memory, "made-up.ptx");
        Parsing.PtxSyntaxException thrown = Assert.Throws<Parsing.PtxSyntaxException>(program.DecodeAll);
        Assert.Equal("made-up.ptx(5): vadd.u32.u32.u32 is not supported", thrown.Message);
    }
}
