using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;

namespace K2Cluster.Trunk.Tests;

public sealed class MicroBatchTests : IDisposable
{
    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2-ramp"));
    private ScriptedExperts? _experts;

    public void Dispose() => _model.Dispose();

    [Fact]
    public void Two_micro_batches_are_in_flight_at_once()
    {
        TwoAtOnceExperts? both = null;
        using TrunkHarness harness = new(_model, microBatchRows: 2, wrap: inner => both = new TwoAtOnceExperts(inner));

        harness.Step((new TestSequence(), BitIdentityTests.Tokens(3, 9)));

        Assert.Equal(2, both!.MostInFlight);
    }

    [Fact]
    public void A_micro_batch_attends_while_the_other_is_in_flight()
    {
        using TrunkHarness harness = Open(microBatchRows: 2);

        harness.Step((new TestSequence(), BitIdentityTests.Tokens(3, 9)));

        Assert.Equal(
            ["submit 1 5", "submit 1 4", "collect 1 5", "submit 2 5", "collect 1 4", "submit 2 4", "collect 2 5", "collect 2 4"],
            _experts!.Events);
    }

    [Theory]
    [InlineData(8)]
    [InlineData(int.MaxValue)]
    public void Few_rows_are_not_cut(int microBatchRows)
    {
        using TrunkHarness harness = Open(microBatchRows);

        harness.Step((new TestSequence(), BitIdentityTests.Tokens(3, 7)));

        Assert.Equal(["submit 1 7", "collect 1 7", "submit 2 7", "collect 2 7"], _experts!.Events);
    }

    [Fact]
    public void A_step_is_not_cut_for_experts_that_compute_on_its_own_threads()
    {
        using TrunkHarness harness = new(_model, microBatchRows: 2, wrap: inner => _experts = new ScriptedExperts(inner) { ComputesOnCollect = inner.ComputesOnCollect });

        harness.Step((new TestSequence(), BitIdentityTests.Tokens(3, 9)));

        Assert.Equal(["submit 1 9", "collect 1 9", "submit 2 9", "collect 2 9"], _experts!.Events);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    public void After_experts_that_threw_the_trunk_serves_again(int throwing)
    {
        using TrunkHarness harness = Open(microBatchRows: 2);
        int[] prompt = BitIdentityTests.Tokens(3, 9);
        float[][] expected = harness.Step((new TestSequence(), prompt));
        int collects = 0;
        _experts!.Answered = batch =>
        {
            if (++collects == throwing)
                throw new TimeoutException("No answer.");
        };

        TestSequence sequence = new();
        harness.Fill((sequence, prompt));
        Assert.Throws<TimeoutException>(() => harness.Trunk.Run(harness.Batch, harness.AllLayers, harness.Result));

        // Submitting would be refused if a ticket had been left behind.
        Compare.SameBits(expected, harness.Step((sequence, prompt)), "after the failure");
    }

    private TrunkHarness Open(int microBatchRows) =>
        new(_model, microBatchRows: microBatchRows, wrap: inner => _experts = new ScriptedExperts(inner));

    private sealed class TwoAtOnceExperts(IExperts inner) : IExperts
    {
        private int _inFlight;
        private bool _two;

        public int MaxInFlight => 2;

        public int MostInFlight { get; private set; }

        public ExpertTicket Submit(ExpertBatch batch)
        {
            MostInFlight = Math.Max(MostInFlight, ++_inFlight);
            _two |= _inFlight == 2;
            return inner.Submit(batch);
        }

        public void Collect(ExpertTicket ticket)
        {
            // The caller is one thread: to wait here for a batch that it did not submit yet would be to wait for ever.
            Assert.True(_two, "A batch was waited for before the second had come.");
            _inFlight--;
            inner.Collect(ticket);
        }
    }
}
