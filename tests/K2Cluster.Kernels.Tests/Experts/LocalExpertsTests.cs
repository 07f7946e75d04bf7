using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Tests.Devices;
using K2Cluster.Tests;

namespace K2Cluster.Kernels.Tests.Experts;

public sealed class LocalExpertsTests
{
    private const int Hidden = 64;
    private const int TopK = 2;

    [Fact]
    public void Two_tickets_may_be_collected_in_any_order()
    {
        using Fixture fixture = new();
        ExpertBatch first = Batch(rows: 3, seed: 1), second = Batch(rows: 2, seed: 2);
        ExpertTicket one = fixture.Experts.Submit(first);
        ExpertTicket two = fixture.Experts.Submit(second);
        Assert.Throws<InvalidOperationException>(() => fixture.Experts.Submit(Batch(1, 3)));
        fixture.Experts.Collect(two);
        fixture.Experts.Collect(one);
        foreach (ExpertBatch batch in new[] { first, second })
        {
            Assert.All(batch.Statuses.ToArray(), status => Assert.Equal(RowStatus.Done, status));
            Assert.Null(batch.Problem);
            for (int row = 0; row < batch.Rows; row++)
            {
                double[] exact = fixture.Model.Exact(1, batch.ExpertIds.Span[row * TopK + 1], batch.Hidden.Span.Slice(row * Hidden, Hidden));
                float[] actual = Samples.Widen(batch.Outputs.Span.Slice((row * TopK + 1) * Hidden, Hidden));
                Assert.InRange(Samples.RelativeError(exact, actual), 1e-9, 3e-3);
            }
        }
    }

    [Fact]
    public void A_ticket_is_collected_once()
    {
        using Fixture fixture = new();
        ExpertTicket ticket = fixture.Experts.Submit(Batch(1, 4));
        fixture.Experts.Collect(ticket);
        Assert.Throws<InvalidOperationException>(() => fixture.Experts.Collect(ticket));
        Assert.Throws<ArgumentException>(() => fixture.Experts.Submit(Batch(9, 5)));
    }

    [Fact]
    public void Rows_without_their_experts_are_unavailable_and_the_others_done()
    {
        using Fixture fixture = new();
        fixture.Device.Unload(new ExpertKey(1, 3));
        ExpertBatch batch = Batch(rows: 2, seed: 6);
        new[] { 0, 1, 2, 3 }.CopyTo(batch.ExpertIds);
        fixture.Experts.Collect(fixture.Experts.Submit(batch));
        Assert.Equal([RowStatus.Done, RowStatus.Unavailable], batch.Statuses.ToArray());
        Assert.Contains("Expert 3 of layer 1 is not held", batch.Problem, StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_fails_fails_the_batch_and_not_the_worker()
    {
        using Fixture fixture = new();
        fixture.Device.Dispose();
        ExpertBatch batch = Batch(rows: 2, seed: 7);
        for (int i = 0; i < 2; i++)
        {
            fixture.Experts.Collect(fixture.Experts.Submit(batch));
            Assert.Equal([RowStatus.Failed, RowStatus.Failed], batch.Statuses.ToArray());
            Assert.NotNull(batch.Problem);
            batch.Reset(1, 2);
        }
    }

    [Theory]
    [InlineData("tiny-k2")]
    [InlineData("tiny-k2-ramp")]
    public void A_published_checkpoint_loads_and_answers_within_bf16(string name)
    {
        using ModelDirectory model = ModelDirectory.Open(Repository.Fixture(name));
        using CpuCompute compute = new(2, CpuPaths.Best);
        using LocalExperts experts = LocalExperts.Load(model, compute, maxRows: 4);
        ModelConfig config = model.Config;
        ExpertBatch batch = new(4, config.HiddenSize, config.ExpertsPerToken);
        int layer = Enumerable.Range(0, config.LayerCount).First(config.IsMoeLayer);
        batch.Reset(layer, 4);
        Samples.GaussianBf16(4 * config.HiddenSize, 8).CopyTo(batch.Hidden);
        for (int i = 0; i < batch.ExpertIds.Length; i++)
            batch.ExpertIds.Span[i] = i % config.RoutedExperts;
        experts.Collect(experts.Submit(batch));
        Assert.All(batch.Statuses.ToArray(), status => Assert.Equal(RowStatus.Done, status));
        Assert.Contains(batch.Outputs.ToArray(), bits => bits != 0);
    }

    private static ExpertBatch Batch(int rows, int seed)
    {
        ExpertBatch batch = new(16, Hidden, TopK);
        batch.Reset(1, rows);
        Samples.GaussianBf16(rows * Hidden, seed).CopyTo(batch.Hidden);
        for (int i = 0; i < rows * TopK; i++)
            batch.ExpertIds.Span[i] = (seed + i) % 4;
        return batch;
    }

    private sealed class Fixture : IDisposable
    {
        private readonly CpuCompute _compute = new(2, CpuPaths.Best);

        public Fixture()
        {
            Device = new CpuExpertDevice(Model.Config, Model.Catalog, long.MaxValue, _compute);
            for (int expert = 0; expert < 4; expert++)
                Device.Load(new ExpertKey(1, expert), Model);
            Experts = new LocalExperts(Device, maxRows: 8, TopK);
        }

        public RandomExperts Model { get; } = new(int4: true, Hidden, 32, experts: 4);

        public CpuExpertDevice Device { get; }

        public LocalExperts Experts { get; }

        public void Dispose()
        {
            Experts.Dispose();
            Device.Dispose();
            Model.Dispose();
            _compute.Dispose();
        }
    }
}
