using System.Collections.Immutable;

namespace K2Cluster.Planning.Tests;

/// <summary>Made-up devices and loads, and what a plan gives.</summary>
internal static class Plans
{
    public static PlanDevice Device(int number, int capacity, double speed = 1, string? host = null, string kind = "cuda") => new($"d{number:000}", host ?? $"h{number:000}", kind, capacity, speed);

    /// <summary>One that wants no more replicas than loads ask for, so that owners can be told from them.</summary>
    public static PlanRequest Request(PlanShape shape, IReadOnlyList<PlanDevice> devices) => new(shape, devices) { Wishes = new PlanWishes { Replicas = 1 } };

    public static PlanDevice[] Devices(params int[] capacities) => [.. capacities.Select((capacity, i) => Device(i, capacity))];

    /// <summary>As the devices are when they have loaded a plan.</summary>
    public static PlanDevice[] Loaded(this IEnumerable<PlanDevice> devices, ExpertPlan plan) =>
        [.. devices.Select(device => device with { Held = Held(plan, device.Id) })];

    public static ImmutableArray<int> Held(ExpertPlan plan, string id)
    {
        int index = plan.Devices.Select(device => device.Id).ToList().IndexOf(id);
        return index < 0 ? [] : [.. Enumerable.Range(0, plan.Shape.Count).Where(expert => plan.ReplicasOf(expert).Contains(index))];
    }

    public static string[] Owners(ExpertPlan plan) => [.. Enumerable.Range(0, plan.Shape.Count).Select(expert => plan.OwnerOf(expert) is var owner and >= 0 ? plan.Devices[owner].Id : "none")];

    /// <summary>Load by Zipf, its order another in each layer: the hottest has so many times the last as there are experts.</summary>
    public static double[] Skewed(PlanShape shape, int seed = 3, double power = 1)
    {
        Random random = new(seed);
        List<double> load = [];
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            double[] row = [.. Enumerable.Range(1, shape.Experts).Select(rank => 1000 / Math.Pow(rank, power))];
            random.Shuffle(row);
            load.AddRange(row);
        }

        return [.. load];
    }

    /// <summary>How much longer the layers take than if load could be cut at will.</summary>
    public static double Excess(ExpertPlan plan) =>
        Enumerable.Range(0, plan.Shape.Layers).Average(plan.LayerTime) / (plan.Shape.Experts / plan.Devices.Sum(device => device.Speed));

    public static double LoadOn(ExpertPlan plan, string id) => Held(plan, id).Sum(expert => plan.LoadOf(expert) / plan.ReplicasOf(expert).Length);
}
