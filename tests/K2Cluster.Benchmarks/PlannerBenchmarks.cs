using BenchmarkDotNet.Attributes;
using K2Cluster.Planning;

namespace K2Cluster.Benchmarks;

/// <summary>A plan for Kimi K2, 60 layers of 384 experts, on 64 devices on 8 hosts, with replicas; docs/benchmarks/planner.md has figures.</summary>
public class PlannerBenchmarks
{
    private static readonly PlanShape Shape = new(60, 384, 1);

    private PlanDevice[] _devices = null!;
    private PlanDevice[] _roomy = null!;
    private PlanDevice[] _loaded = null!;
    private double[] _load = null!;
    private double[] _later = null!;
    private ExpertPlan _plan = null!;

    [GlobalSetup]
    public void Setup()
    {
        _devices = [.. Enumerable.Range(0, 64).Select(i => new PlanDevice($"host-{i / 8}/{i % 8}", $"host-{i / 8}", "cuda", 400 + (i % 3 * 100), 1000 + (i % 2 * 300)))];
        _roomy = [.. _devices.Select(device => device with { Capacity = 2 * device.Capacity })];
        (_load, _later) = (Load(1), Load(2));
        _plan = First();
        _loaded = [.. _devices.Select(device => device with { Held = [.. Enumerable.Range(0, Shape.Count).Where(expert => HoldsIn(_plan, expert, device.Id))] })];
    }

    /// <summary>Nothing is held and nothing was asked for yet, and every second replica has room.</summary>
    [Benchmark]
    public ExpertPlan Roomy() => ExpertPlanner.Plan(new PlanRequest(Shape, _roomy));

    /// <summary>The same on devices that have room for a third of them.</summary>
    [Benchmark]
    public ExpertPlan LittleRoom() => ExpertPlanner.Plan(new PlanRequest(Shape, _devices));

    /// <summary>Nothing is held yet.</summary>
    [Benchmark]
    public ExpertPlan First() => ExpertPlanner.Plan(new PlanRequest(Shape, _devices) { Load = _load });

    /// <summary>Everything is as it should be.</summary>
    [Benchmark]
    public ExpertPlan Again() => ExpertPlanner.Plan(new PlanRequest(Shape, _loaded) { Load = _load, Previous = _plan });

    /// <summary>A host of eight devices is gone.</summary>
    [Benchmark]
    public ExpertPlan HostLost() => ExpertPlanner.Plan(new PlanRequest(Shape, _loaded[8..]) { Load = _load, Previous = _plan });

    /// <summary>Other experts are hot than before.</summary>
    [Benchmark]
    public ExpertPlan OtherLoad() => ExpertPlanner.Plan(new PlanRequest(Shape, _loaded) { Load = _later, Previous = _plan });

    private static bool HoldsIn(ExpertPlan plan, int expert, string id)
    {
        foreach (int device in plan.ReplicasOf(expert))
        {
            if (plan.Devices[device].Id == id)
                return true;
        }

        return false;
    }

    /// <summary>By Zipf, the order of the experts another in each layer.</summary>
    private static double[] Load(int seed)
    {
        Random random = new(seed);
        List<double> load = [];
        for (int layer = 0; layer < Shape.Layers; layer++)
        {
            double[] row = [.. Enumerable.Range(1, Shape.Experts).Select(rank => 1000.0 / rank)];
            random.Shuffle(row);
            load.AddRange(row);
        }

        return [.. load];
    }
}
