using System.Diagnostics;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Wire;

namespace K2Cluster.Cluster.Tests.Wire;

/// <summary>Heads of the fabric's frames: they come back as they were, and no bytes of a peer do harm.</summary>
public sealed class HeadTests
{
    private static readonly ExpertFrame Frame = new()
    {
        Incarnation = long.MaxValue,
        Epoch = new Epoch(5, 6),
        Layer = 7,
        Rows = 2,
        Pairs = 3,
        HiddenSize = 64,
        Trace = new ActivityContext(ActivityTraceId.CreateRandom(), ActivitySpanId.CreateRandom(), ActivityTraceFlags.Recorded),
    };

    private static readonly int FrameLength = ExpertFrame.PayloadLength(2, 3, 64);

    [Fact]
    public void A_frames_head_comes_back_as_it_was()
    {
        ExpertFrame copy = ExpertFrameHead.Read(Head(Frame), FrameLength);
        Assert.Equal((Frame.Incarnation, Frame.Epoch, Frame.Layer, Frame.Rows, Frame.Pairs, Frame.HiddenSize), (copy.Incarnation, copy.Epoch, copy.Layer, copy.Rows, copy.Pairs, copy.HiddenSize));
        Assert.Equal((Frame.Trace.TraceId, Frame.Trace.SpanId, Frame.Trace.TraceFlags, true), (copy.Trace.TraceId, copy.Trace.SpanId, copy.Trace.TraceFlags, copy.Trace.IsRemote));
        Assert.Throws<FrameFormatException>(() => ExpertFrameHead.Read(Head(Frame), FrameLength + 1));
    }

    [Theory]
    [InlineData(ReplyStatus.Computed, null)]
    [InlineData(ReplyStatus.Computed, "why – not")]
    [InlineData(ReplyStatus.Busy, null)]
    public void A_replys_head_comes_back_as_it_was(ReplyStatus status, string? problem)
    {
        ExpertReply reply = new() { Status = status, Pairs = 3, HiddenSize = 64, Problem = problem };
        ExpertReply copy = ExpertReplyHead.Read(Head(reply), status == ReplyStatus.Computed ? ExpertReply.PayloadLength(3, 64) : 0);
        Assert.Equal((status, 3, 64, problem), (copy.Status, copy.Pairs, copy.HiddenSize, copy.Problem));
    }

    [Fact]
    public void A_problem_that_is_too_long_is_cut()
    {
        ExpertReply copy = ExpertReplyHead.Read(Head(new ExpertReply { Status = ReplyStatus.Malformed, Pairs = 0, HiddenSize = 0, Problem = new string('ü', 2000) }), 0);
        Assert.Equal(new string('ü', 507), copy.Problem);
    }

    [Fact]
    public void Changed_or_cut_heads_give_a_message_of_the_same_size_or_an_exception()
    {
        byte[] frame = Head(Frame);
        byte[] reply = Head(new ExpertReply { Status = ReplyStatus.Computed, Pairs = 3, HiddenSize = 64, Problem = "why" });
        Random random = new(3);
        for (int round = 0; round < 2000; round++)
        {
            byte[] bad = [.. round % 2 == 0 ? frame : reply];
            bad[random.Next(bad.Length)] = (byte)random.Next(256);
            bad = round % 5 == 0 ? bad[..random.Next(bad.Length)] : bad;
            try
            {
                if (round % 2 == 0)
                    Assert.Equal(FrameLength, ExpertFrame.PayloadLength(ExpertFrameHead.Read(bad, FrameLength).Rows, 3, 64));
                else
                    Assert.Equal(ReplyStatus.Computed, ExpertReplyHead.Read(bad, ExpertReply.PayloadLength(3, 64)).Status);
            }
            catch (FrameFormatException)
            {
                // Refused.
            }
        }
    }

    [Fact]
    public void A_shards_progress_comes_back_and_what_is_cut_off_is_none()
    {
        byte[] bytes = new byte[(2 * ShardProgress.Length) + 5];
        ShardProgress second = new(9, 12_345, IsHung: true);
        new ShardProgress(8, 0, IsHung: false).Write(bytes);
        second.Write(bytes.AsSpan(ShardProgress.Length));
        Assert.True(ShardProgress.TryRead(bytes, 1, out ShardProgress copy));
        Assert.Equal(second, copy);
        Assert.False(ShardProgress.TryRead(bytes, 2, out _));
    }

    private static byte[] Head(ExpertFrame frame)
    {
        byte[] head = new byte[ExpertFrameHead.Length];
        ExpertFrameHead.Write(head, frame);
        return head;
    }

    private static byte[] Head(ExpertReply reply)
    {
        byte[] head = new byte[ExpertReplyHead.MaxLength];
        return head[..ExpertReplyHead.Write(head, reply)];
    }
}
