using System.Diagnostics;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Wire;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;

namespace K2Cluster.Cluster.Tests.Wire;

public class CodecTests
{
    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer().BuildServiceProvider();

    private Serializer Serializer => _services.GetRequiredService<Serializer>();

    [Fact]
    public void A_frame_comes_back_as_it_was()
    {
        using ExpertFrame frame = Frame();
        using ExpertFrame copy = Serializer.Deserialize<ExpertFrame>(Serializer.SerializeToArray(frame))!;

        Assert.Equal((frame.Incarnation, frame.Epoch, frame.Layer, frame.Rows, frame.Pairs, frame.HiddenSize), (copy.Incarnation, copy.Epoch, copy.Layer, copy.Rows, copy.Pairs, copy.HiddenSize));
        Assert.Equal((frame.Trace.TraceId, frame.Trace.SpanId, frame.Trace.TraceFlags, true), (copy.Trace.TraceId, copy.Trace.SpanId, copy.Trace.TraceFlags, copy.Trace.IsRemote));
        Assert.Equal(frame.Payload.ToArray(), copy.Payload.ToArray());
    }

    [Theory]
    [InlineData(ReplyStatus.Computed, null)]
    [InlineData(ReplyStatus.Computed, "why – not")]
    [InlineData(ReplyStatus.Busy, null)]
    [InlineData(ReplyStatus.Malformed, "no")]
    public void A_reply_comes_back_as_it_was_and_sending_consumes_it(ReplyStatus status, string? problem)
    {
        ExpertReply reply = Reply(status, problem);
        byte[] payload = reply.Payload.ToArray();
        using ExpertReply copy = Serializer.Deserialize<ExpertReply>(Serializer.SerializeToArray(reply))!;

        Assert.Equal((status, problem, reply.Pairs, reply.HiddenSize), (copy.Status, copy.Problem, copy.Pairs, copy.HiddenSize));
        Assert.Equal(payload, copy.Payload.ToArray());
        if (payload.Length > 0)
            Assert.Throws<ObjectDisposedException>(() => reply.Payload);
    }

    [Fact]
    public void A_problem_that_is_too_long_is_cut()
    {
        ExpertReply reply = Reply(ReplyStatus.Computed, new string('ü', 2000));
        using ExpertReply copy = Serializer.Deserialize<ExpertReply>(Serializer.SerializeToArray(reply))!;

        Assert.Equal(new string('ü', FrameLimits.ProblemBytes / 2), copy.Problem);
    }

    [Fact]
    public void Messages_of_Orleans_hand_over_and_never_copy()
    {
        using ExpertFrame frame = Frame();
        Assert.Same(frame, _services.GetRequiredService<DeepCopier>().Copy(frame));
    }

    [Fact]
    public void Every_changed_byte_gives_a_frame_or_an_exception_and_never_a_large_buffer()
    {
        using ExpertFrame frame = Frame();
        byte[] good = Serializer.SerializeToArray(frame);
        Random random = new(3);
        for (int position = 0; position < good.Length; position++)
        {
            for (int round = 0; round < 8; round++)
            {
                byte[] bad = [.. good];
                bad[position] = (byte)random.Next(256);
                AssertRefusedOrRead(bad);
            }
        }

        for (int length = 0; length < good.Length; length++)
            AssertRefusedOrRead(good[..length]);
    }

    [Theory]
    [InlineData(28, int.MaxValue)] // rows
    [InlineData(32, int.MaxValue)] // pairs
    [InlineData(32, -1)]
    [InlineData(36, int.MaxValue)] // hidden size
    [InlineData(40, int.MaxValue)] // length
    [InlineData(40, -1)]
    [InlineData(40, FrameLimits.PayloadBytes)]
    public void A_hostile_length_throws_and_allocates_nothing(int offset, int value)
    {
        using ExpertFrame frame = Frame();
        byte[] bytes = Serializer.SerializeToArray(frame);
        int start = bytes.AsSpan().IndexOf(BitConverter.GetBytes(frame.Incarnation)) - 1;
        BitConverter.TryWriteBytes(bytes.AsSpan(start + 1 + offset), value);

        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<FrameFormatException>(() => Serializer.Deserialize<ExpertFrame>(bytes));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void Sizes_that_overflow_an_int_are_not_allowed()
    {
        Assert.False(FrameLimits.AllowFrame(65536, 1, 65536, 8));
        Assert.False(FrameLimits.AllowFrame(1 << 16, 1 << 16, 1 << 16, (1L << 33) + (1 << 19)));
        Assert.False(FrameLimits.AllowPairs(1 << 16, 1 << 16));
        foreach (int hiddenSize in new[] { 1, 64, 7168, 1 << 16 })
        {
            int most = FrameLimits.PairsPerFrame(hiddenSize);
            Assert.True(FrameLimits.AllowPairs(most, hiddenSize));
            Assert.True(FrameLimits.AllowFrame(most, most, hiddenSize, ExpertFrame.PayloadLength(most, most, hiddenSize)));
        }
    }

    private void AssertRefusedOrRead(byte[] bytes)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        try
        {
            Serializer.Deserialize<ExpertFrame>(bytes)?.Dispose();
        }
        catch (Exception exception) when (exception is not (OutOfMemoryException or AccessViolationException))
        {
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1_000_000);
    }

    private static ExpertFrame Frame()
    {
        ExpertFrame frame = new()
        {
            Incarnation = 0x0102030405060708,
            Epoch = new Epoch(5, 6),
            Layer = 7,
            Rows = 2,
            Pairs = 3,
            HiddenSize = 8,
            Trace = new ActivityContext(ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.Recorded),
        };
        frame.Rent(ExpertFrame.PayloadLength(2, 3, 8));
        new Random(1).NextBytes(frame.Payload.Span);
        return frame;
    }

    private static ExpertReply Reply(ReplyStatus status, string? problem)
    {
        bool computed = status == ReplyStatus.Computed;
        ExpertReply reply = new() { Status = status, Pairs = computed ? 3 : 0, HiddenSize = computed ? 8 : 0, Problem = problem };
        if (computed)
        {
            reply.Rent(ExpertReply.PayloadLength(3, 8));
            new Random(1).NextBytes(reply.Payload.Span);
        }

        return reply;
    }
}
