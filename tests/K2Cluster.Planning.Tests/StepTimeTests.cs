namespace K2Cluster.Planning.Tests;

public class StepTimeTests
{
    private static readonly StepCosts Costs = new()
    {
        ExpertsPerToken = 2,
        ExpertBytes = 10,
        HiddenSize = 50,
        TrunkBytes = 900,
        KvBytes = 100,
        GatewayBytesPerSecond = 1000,
        RoundTrip = TimeSpan.FromMilliseconds(1),
        NetworkBytesPerSecond = 10_000,
    };

    [Fact]
    public void One_device_reads_every_expert_that_is_asked_for_and_gets_each_row_once()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(new PlanShape(3, 8), [Plans.Device(0, 24, speed: 4)]));
        StepTime step = StepTime.Of(plan, Costs, batch: 1);

        Assert.Equal(TimeSpan.FromSeconds(1), step.Trunk);
        Assert.Equal(TimeSpan.FromSeconds(3 * 2 / 4.0), step.Experts);
        Assert.Equal(TimeSpan.FromSeconds(3 * (0.001 + (3 * 100 / 10_000.0))), step.Network); // one row there, two back
        Assert.Equal(1 / step.Total.TotalSeconds, step.TokensPerSecond);
    }

    [Fact]
    public void A_layer_waits_for_its_busiest_device_and_a_large_batch_asks_for_everything()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(new PlanShape(4, 8), Plans.Devices(16, 16)));

        // Both experts on one of two devices in 3 of 7 cases.
        Assert.InRange(StepTime.Of(plan, Costs, 1).Experts.TotalSeconds / 4, 1.3, 1.55);
        Assert.Equal(4, StepTime.Of(plan, Costs, 200).Experts.TotalSeconds / 4, 1e-9);
    }

    [Fact]
    public void A_step_over_what_hardly_moves_takes_a_time_that_can_still_be_told()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(new PlanShape(3, 8), [Plans.Device(0, 24, speed: 1e-12)]));
        StepTime step = StepTime.Of(plan, Costs with { GatewayBytesPerSecond = 1e-12, NetworkBytesPerSecond = 1e-12 }, batch: 1);

        TimeSpan[] parts = [step.Trunk, step.Experts, step.Network];
        Assert.All(parts, part => Assert.InRange(part.TotalDays, 365_000, 1e6));
        Assert.True(step.TokensPerSecond > 0);
    }

    [Fact]
    public void Replicas_shorten_a_step()
    {
        PlanRequest request = Plans.Request(new PlanShape(4, 8), Plans.Devices(40, 40));
        ExpertPlan replicated = ExpertPlanner.Plan(request with { Wishes = new PlanWishes { Replicas = 2 } });

        Assert.Equal(TimeSpan.FromSeconds(4), StepTime.Of(replicated, Costs, 1).Experts); // one on each device
        Assert.True(StepTime.Of(ExpertPlanner.Plan(request), Costs, 1).Experts > TimeSpan.FromSeconds(4));
    }
}
