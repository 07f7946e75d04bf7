namespace K2Cluster.Planning;

/// <summary>
/// Chooses the devices of every expert. A layer waits for its slowest device, so time (load ÷ speed) is balanced within each
/// layer: hot experts on fast devices, cold ones where memory is. What is held stays where it is unless moving it gains enough,
/// memory that is left goes to replicas of hot experts. The same request gives the same plan; ties go to the lower index.
/// </summary>
public static class ExpertPlanner
{
    /// <exception cref="ArgumentException">The request contradicts itself.</exception>
    public static ExpertPlan Plan(PlanRequest request)
    {
        Check(request);
        PlanDraft draft = new(request);
        ReplicaChoice replicas = new(request, draft);
        OwnerChoice owners = new(request, draft);
        LayerBalance balance = new(request.Options, draft);

        replicas.ChooseCounts();
        owners.Pin(replicas.TryTakeFor);
        owners.Keep();
        replicas.Keep();
        owners.Place(replicas.Add);
        owners.PlaceOnDrained();
        owners.Promote();
        replicas.Add();
        replicas.Spread(onlyHeld: true);
        draft.TakeTimes();
        balance.Run();
        replicas.Add(); // for what has moved to another kind
        replicas.Spread(onlyHeld: false);
        return new ExpertPlan(draft);
    }

    private static void Check(PlanRequest request)
    {
        PlanShape shape = request.Shape;
        if (shape.Layers < 1 || shape.Experts < 1 || (long)shape.Layers * shape.Experts > 1 << 24)
            throw new ArgumentException($"{shape.Layers} × {shape.Experts} experts cannot be planned.", nameof(request));
        if (request.Load is { } load && load.Count != shape.Count)
            throw new ArgumentException($"Loads are of {load.Count} experts, the model has {shape.Count}.", nameof(request));
        HashSet<string> ids = [];
        foreach (PlanDevice device in request.Devices)
        {
            if (!ids.Add(device.Id))
                throw new ArgumentException($"Two devices are named {device.Id}.", nameof(request));
            if (device.Capacity < 0 || !(device.Speed > 0) || double.IsInfinity(device.Speed))
                throw new ArgumentException($"Device {device.Id} has room for {device.Capacity} experts and a speed of {device.Speed}.", nameof(request));
            if (device.Held.Any(expert => (uint)expert >= (uint)shape.Count))
                throw new ArgumentException($"Device {device.Id} holds an expert that the model has not.", nameof(request));
        }
    }
}
