using System.Runtime.InteropServices;

namespace K2Cluster.Planning;

/// <summary>A plan in the making: who owns what, and what that adds up to on each device and in each layer.</summary>
internal sealed class PlanDraft
{
    private readonly bool _isRebalance;
    private readonly double[] _loads;
    private readonly List<(int Device, PlanReason Reason)>?[] _replicas;

    public PlanDraft(PlanRequest request)
    {
        Shape = request.Shape;
        Devices = [.. request.Devices.OrderBy(device => device.Id, StringComparer.Ordinal)];
        string[] hosts = [.. Devices.Select(device => device.Host).Distinct()];
        Host = [.. Devices.Select(device => Array.IndexOf(hosts, device.Host))];
        int count = Shape.Count;
        Owner = new int[count];
        Owner.AsSpan().Fill(-1);
        OwnerReason = new PlanReason[count];
        CameFrom = new string?[count];
        Wanted = new int[count];
        Wanted.AsSpan().Fill(1);
        Settled = new bool[count];
        IsPostponed = new bool[count];
        Weight = Normalise(request.Load, Shape);
        _replicas = new List<(int, PlanReason)>?[count];
        _loads = new double[Shape.Layers * Devices.Length];
        Planned = new int[Devices.Length];
        Owned = new int[Devices.Length];
        Occupied = [.. Devices.Select(device => device.Held.Length)];
        Holds = [.. Devices.Select(device => Bits(device, count))];
        Drained = [.. Devices.Select(device => request.Wishes.Drained.Contains(device.Id) || request.Wishes.Drained.Contains(device.Host))];
        Tier = Tiers(Devices, request.Options.SlowFactor);
        HadBefore = [.. Devices.Select(device => !device.Held.IsEmpty)];
        _isRebalance = request.Options.IsRebalance;
        IsHeld = new bool[count];
        foreach (int expert in Devices.SelectMany(device => device.Held))
            IsHeld[expert] = true;
        TimesBefore = new double[Shape.Layers];
    }

    public PlanShape Shape { get; }

    public PlanDevice[] Devices { get; }

    /// <summary>[devices]: a number for its host; every replica asks for those of all devices.</summary>
    public int[] Host { get; }

    /// <summary>[experts]: the device that owns it; -1 while none does.</summary>
    public int[] Owner { get; }

    public PlanReason[] OwnerReason { get; }

    /// <summary>[experts]: the device that owned it in the plan before, by its id.</summary>
    public string?[] CameFrom { get; }

    /// <summary>[experts]: the replicas that are to share its load.</summary>
    public int[] Wanted { get; }

    /// <summary>[experts]: it has its owner from before, so moving it costs a load.</summary>
    public bool[] Settled { get; }

    /// <summary>[experts]: load in units of the mean of its layer.</summary>
    public double[] Weight { get; }

    /// <summary>[devices]: experts it is to hold.</summary>
    public int[] Planned { get; }

    /// <summary>[devices]: of these, experts that it owns; they are what a cluster that starts waits for.</summary>
    public int[] Owned { get; }

    /// <summary>[devices]: experts it is to hold or holds still. A device loads only where this leaves room, or two that are full wait for each other.</summary>
    public int[] Occupied { get; }

    /// <summary>[devices][experts].</summary>
    public bool[][] Holds { get; }

    public bool[] Drained { get; }

    /// <summary>[devices]: 0 for the fast ones; a device gets only what those of a lower tier have no room for.</summary>
    public int[] Tier { get; }

    /// <summary>[experts]: some device holds it.</summary>
    public bool[] IsHeld { get; }

    /// <summary>[devices]: it holds experts, or owned some in the plan before: it has not just joined.</summary>
    public bool[] HadBefore { get; }

    /// <summary>[layers]: as they are before experts that are held move.</summary>
    public double[] TimesBefore { get; private set; }

    /// <summary>[experts]: there is room for one more replica once a device has dropped what it is not to hold any more.</summary>
    public bool[] IsPostponed { get; }

    public bool Accepts(int device) => Devices[device].CanLoad && !Drained[device];

    public bool HasRoom(int device) => Planned[device] < Devices[device].Capacity;

    /// <summary>
    /// Whether an expert may leave its owner for a device that is only faster: not for one of another kind while somebody may be
    /// asking for it, as the rest of an answer would be computed to other bits.
    /// </summary>
    public bool MayChangeTo(int expert, int device) =>
        _isRebalance || !Settled[expert] || !IsHeld[expert] || Devices[device].Kind == Devices[Owner[expert]].Kind;

    /// <summary>What a replica of the expert adds to its device.</summary>
    public double ShareOf(int expert) => Weight[expert] / Wanted[expert];

    public double LoadOf(int layer, int device) => _loads[(layer * Devices.Length) + device];

    public double TimeOf(int layer, int device, double more = 0) => (LoadOf(layer, device) + more) / Devices[device].Speed;

    public double LayerTime(int layer)
    {
        double slowest = 0;
        for (int device = 0; device < Devices.Length; device++)
            slowest = Math.Max(slowest, TimeOf(layer, device));
        return slowest;
    }

    public double[] LayerTimes() => [.. Enumerable.Range(0, Shape.Layers).Select(LayerTime)];

    /// <summary>Whether some experts are to be loaded that no device holds, while others are held: after a loss, or while a cluster starts.</summary>
    public bool IsMissingSome()
    {
        for (int expert = 0; expert < IsHeld.Length; expert++)
        {
            if (Owner[expert] >= 0 && !IsHeld[expert])
                return IsHeld.Contains(true);
        }

        return false;
    }

    public void TakeTimes() => TimesBefore = LayerTimes();

    /// <summary>Whether a device of the same host is to hold it.</summary>
    public bool IsOnHost(int expert, int host)
    {
        if (Host[Owner[expert]] == host)
            return true;
        foreach ((int device, _) in CollectionsMarshal.AsSpan(_replicas[expert]))
        {
            if (Host[device] == host)
                return true;
        }

        return false;
    }

    public void Give(int expert, int device, PlanReason reason)
    {
        Owner[expert] = device;
        OwnerReason[expert] = reason;
        Owned[device]++;
        Add(expert, device);
    }

    public void Take(int expert)
    {
        Remove(expert, Owner[expert]);
        Owned[Owner[expert]]--;
        Owner[expert] = -1;
    }

    /// <summary>From its owner to another, or one of its replicas; an owner of another kind has no use for those that there are.</summary>
    /// <returns>The replicas that are given up.</returns>
    public IReadOnlyList<(int Device, PlanReason Reason)> Move(int expert, int from, int to, PlanReason reason)
    {
        if (Owner[expert] != from)
        {
            List<(int Device, PlanReason)> replicas = _replicas[expert]!;
            replicas[replicas.FindIndex(replica => replica.Device == from)] = (to, reason);
            Remove(expert, from);
            Add(expert, to);
            return [];
        }

        Take(expert);
        Give(expert, to, reason);
        return Devices[to].Kind == Devices[from].Kind ? [] : DropReplicas(expert);
    }

    /// <summary>Why a device that has the expert does.</summary>
    public PlanReason ReasonOf(int expert, int device) => Owner[expert] == device ? OwnerReason[expert] : _replicas[expert]!.Find(replica => replica.Device == device).Reason;

    public IReadOnlyList<(int Device, PlanReason Reason)> ReplicasOf(int expert) => _replicas[expert] ?? [];

    public bool HasReplica(int expert, int device)
    {
        foreach ((int holder, _) in CollectionsMarshal.AsSpan(_replicas[expert]))
        {
            if (holder == device)
                return true;
        }

        return false;
    }

    public bool IsOn(int expert, int device) => Owner[expert] == device || HasReplica(expert, device);

    public void AddReplica(int expert, int device, PlanReason reason)
    {
        (_replicas[expert] ??= []).Add((device, reason));
        Add(expert, device);
    }

    /// <summary>Fewer replicas share the load than was meant.</summary>
    public void Want(int expert, int replicas)
    {
        double more = (Weight[expert] / replicas) - ShareOf(expert);
        Wanted[expert] = replicas;
        int row = expert / Shape.Experts * Devices.Length;
        if (Owner[expert] >= 0)
            _loads[row + Owner[expert]] += more;
        foreach ((int device, _) in ReplicasOf(expert))
            _loads[row + device] += more;
    }

    private IReadOnlyList<(int Device, PlanReason Reason)> DropReplicas(int expert)
    {
        IReadOnlyList<(int Device, PlanReason)> dropped = ReplicasOf(expert);
        foreach ((int device, _) in dropped)
            Remove(expert, device);
        _replicas[expert] = null;
        return dropped;
    }

    private void Add(int expert, int device)
    {
        Planned[device]++;
        if (!Holds[device][expert])
            Occupied[device]++;
        _loads[(expert / Shape.Experts * Devices.Length) + device] += ShareOf(expert);
    }

    private void Remove(int expert, int device)
    {
        Planned[device]--;
        if (!Holds[device][expert])
            Occupied[device]--;
        _loads[(expert / Shape.Experts * Devices.Length) + device] -= ShareOf(expert);
    }

    private static bool[] Bits(PlanDevice device, int count)
    {
        bool[] bits = new bool[count];
        foreach (int expert in device.Held)
            bits[expert] = true;
        return bits;
    }

    /// <summary>To a mean of 1 in each layer. What was never seen counts a little, so that the coldest are spread as well.</summary>
    private static double[] Normalise(IReadOnlyList<double>? load, PlanShape shape)
    {
        const double Least = 0.01;
        double[] weights = new double[shape.Count];
        weights.AsSpan().Fill(1);
        if (load is null)
            return weights;
        for (int layer = 0; layer < shape.Layers; layer++)
        {
            Span<double> row = weights.AsSpan(layer * shape.Experts, shape.Experts);
            double sum = 0;
            for (int expert = 0; expert < row.Length; expert++)
                sum += load[(layer * shape.Experts) + expert];
            for (int expert = 0; expert < row.Length && sum > 0; expert++)
                row[expert] = (Least + (load[(layer * shape.Experts) + expert] * row.Length / sum)) / (1 + Least);
        }

        return weights;
    }

    private static int[] Tiers(PlanDevice[] devices, double slowFactor)
    {
        int[] tiers = new int[devices.Length];
        int tier = -1;
        PlanDevice? fastest = null;
        foreach (int i in Enumerable.Range(0, devices.Length).OrderBy(i => devices[i].UsesHostThreads).ThenByDescending(i => devices[i].Speed))
        {
            if (fastest is null || fastest.UsesHostThreads != devices[i].UsesHostThreads || devices[i].Speed * slowFactor < fastest.Speed)
                (fastest, tier) = (devices[i], tier + 1);
            tiers[i] = tier;
        }

        return tiers;
    }
}
