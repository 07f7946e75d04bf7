namespace K2Cluster.Planning.Tests;

public class HostLossTests
{
    private static readonly PlanShape Shape = new(2, 12);

    [Fact]
    public void A_plan_without_replicas_reloads_what_a_host_had()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(Shape, Plans.Devices(12, 12, 12)));

        Assert.Equal((0, 1), (HostLoss.SurvivedWithoutReload(plan), HostLoss.SurvivedWithReload(plan)));
        Assert.All(HostLoss.OfEach(plan, expertBytes: 10, bytesPerSecond: 5), loss => Assert.Equal((8, 0, TimeSpan.FromSeconds(8)), (loss.Lost, loss.Homeless, loss.Reload))); // four experts each
    }

    [Fact]
    public void A_host_that_hardly_loads_takes_a_time_that_can_still_be_told()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(Shape, Plans.Devices(12, 12, 12)));

        Assert.All(HostLoss.OfEach(plan, expertBytes: 1 << 24, bytesPerSecond: 1e-6), loss => Assert.InRange(loss.Reload!.Value.TotalDays, 365_000, 1e6));
    }

    [Fact]
    public void With_two_replicas_of_everything_no_loss_of_one_host_loses_an_expert()
    {
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(Shape, Plans.Devices(30, 30, 30)));

        Assert.Equal((1, 2), (HostLoss.SurvivedWithoutReload(plan), HostLoss.SurvivedWithReload(plan)));
        Assert.All(HostLoss.OfEach(plan, 10, 5), loss => Assert.Equal((0, 0, TimeSpan.Zero), (loss.Lost, loss.Homeless, loss.Reload)));
    }

    [Fact]
    public void Where_the_others_have_no_room_the_loss_says_of_how_many()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(Shape, Plans.Devices(4, 10, 12)));

        Assert.Equal(-1 + 1, HostLoss.SurvivedWithReload(plan));
        HostLoss loss = HostLoss.OfEach(plan, 10, 5)[2];
        Assert.Equal(("h002", loss.Lost - (26 - 12 - (24 - loss.Lost)), null), (loss.Host, loss.Homeless, loss.Reload));
        Assert.True(loss.Homeless > 0);
    }

    [Fact]
    public void A_small_host_loads_what_it_has_room_for_and_the_others_the_rest()
    {
        // h000 has three left, h001 has eleven; twelve are to be loaded.
        ExpertPlan first = ExpertPlanner.Plan(Plans.Request(Shape, Plans.Devices(9, 17, 24)));
        PlanDevice[] devices = [Plans.Device(0, 9) with { Held = [.. Enumerable.Range(0, 6)] }, Plans.Device(1, 17) with { Held = [.. Enumerable.Range(12, 6)] }, Plans.Device(2, 24) with { Held = [.. Enumerable.Range(6, 6), .. Enumerable.Range(18, 6)] }];
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(Shape, devices) with { Options = new PlannerOptions { MinGain = 1 } });

        HostLoss loss = HostLoss.OfEach(plan, 10, 5)[2];
        Assert.Equal((12, TimeSpan.FromSeconds(18)), (loss.Lost, loss.Reload)); // nine of 10 bytes at 5 a second
        Assert.Equal(0, first.Missing);
    }

    [Fact]
    public void A_plan_that_is_not_whole_survives_nothing()
    {
        ExpertPlan plan = ExpertPlanner.Plan(Plans.Request(Shape, Plans.Devices(10, 10)));
        Assert.Equal((-1, -1), (HostLoss.SurvivedWithoutReload(plan), HostLoss.SurvivedWithReload(plan)));
        Assert.All(HostLoss.OfEach(plan, 10, 5), loss => Assert.Null(loss.Reload));
    }
}
