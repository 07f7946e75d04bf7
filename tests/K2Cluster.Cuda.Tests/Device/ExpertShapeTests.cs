using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Tests.Devices;

namespace K2Cluster.Cuda.Tests.Device;

public sealed class ExpertShapeTests
{
    [Theory]
    [InlineData(true, 7168, 2048, 24_772_608)] // Kimi K2: 0.5625 bytes a weight, nothing more
    [InlineData(true, 128, 64, 18_432)] // k2-nano: down's rows are padded to 128
    [InlineData(true, 64, 96, 18_432)]
    [InlineData(false, 2048, 1408, 17_301_504)] // Moonlight
    public void A_slot_has_the_bytes_that_the_kernels_document(bool isInt4, int hidden, int intermediate, long bytes) =>
        Assert.Equal(bytes, Shape(isInt4, hidden, intermediate).SlotBytes);

    [Fact]
    public void An_experts_place_in_the_table_is_layer_by_layer()
    {
        ExpertShape shape = Shape(true, 64, 64);
        Assert.Equal(0, shape.IndexOf(new ExpertKey(0, 0)));
        Assert.Equal(8, shape.IndexOf(new ExpertKey(1, 3)));
        Assert.All([new ExpertKey(-1, 0), new ExpertKey(2, 0), new ExpertKey(0, 5), new ExpertKey(0, -1)], key => Assert.Equal(-1, shape.IndexOf(key)));
    }

    [Fact]
    public void Sizes_that_the_kernels_do_not_take_are_refused()
    {
        CheckpointException refused = Assert.Throws<CheckpointException>(() => Shape(false, 48, 64));
        Assert.Contains("hidden_size 48", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_header_of_a_call_lies_as_the_kernels_read_it()
    {
        Assert.Equal(256, Unsafe.SizeOf<ForwardHeader>());
        Assert.Equal(
            [0, 4, 8, 12],
            new[] { nameof(ForwardHeader.Pairs), nameof(ForwardHeader.Rows), nameof(ForwardHeader.Layer), nameof(ForwardHeader.RowsPerBlock) }
                .Select(field => (int)Marshal.OffsetOf<ForwardHeader>(field)));
    }

    private static ExpertShape Shape(bool isInt4, int hidden, int intermediate)
    {
        using RandomExperts model = new(isInt4, 32, 32, experts: 5);
        return new ExpertShape(model.Config with { HiddenSize = hidden, MoeIntermediateSize = intermediate }, isInt4);
    }
}
