using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Tests.Devices;
using K2Cluster.PtxEmulator.FakeDriver;
using ManagedCuda;

namespace K2Cluster.Cuda.Tests.Device;

public sealed class ExpertStagingTests : FakeDriverTest
{
    /// <summary>An expert of Kimi K2: its matrices have 7 MiB each and its scales 0.9.</summary>
    [Fact]
    public void A_load_goes_in_pieces_of_1_MiB_through_two_of_pinned_memory()
    {
        Install(new FakeGpu { MemoryBytes = 64 << 20 });
        using RandomExperts model = new(int4: true, 32, 32, experts: 1);
        ExpertShape shape = new(model.Config with { HiddenSize = 7168, MoeIntermediateSize = 2048 }, isInt4: true);
        using PrimaryContext context = new(0);
        using ExpertStaging staging = new(new ExpertKernels(context, CudaCards.Find().All[0], shape), shape);
        Assert.Equal(2 << 20, Machine.PinnedBytes);

        Reader reader = new(lastPart: ExpertPart.DownScales);
        Assert.Throws<EndOfStreamException>(() => staging.Load(reader, default));
        context.Synchronize();
        int[] matrix = [.. Enumerable.Repeat(1 << 20, 7)];
        int[] projection = [.. matrix, 7168 * 2048 / 32 * 2];
        Assert.Equal([.. projection, .. projection, .. matrix], reader.Pieces);
    }

    /// <summary>Ends a load before the kernels, which would take their time here.</summary>
    private sealed class Reader(ExpertPart lastPart) : IExpertReader
    {
        public List<int> Pieces { get; } = [];

        public void Read(ExpertPart part, long offset, Span<byte> destination)
        {
            if (part == lastPart)
                throw new EndOfStreamException();
            Pieces.Add(destination.Length);
            destination.Fill(1);
        }
    }
}
