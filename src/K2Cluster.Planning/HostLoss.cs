namespace K2Cluster.Planning;

/// <summary>What the loss of one host does to a plan.</summary>
/// <param name="Host">The host.</param>
/// <param name="Lost">Experts of which it has the only replica: they are away until others have loaded them.</param>
/// <param name="Homeless">Those of them for which the others have no room.</param>
/// <param name="Reload">How long the others load, each host at the given rate; zero when nothing is lost, null when there is no room for all.</param>
public sealed record HostLoss(string Host, int Lost, int Homeless, TimeSpan? Reload)
{
    /// <summary>The loss of each host, by their names.</summary>
    /// <param name="plan">A plan that is loaded.</param>
    /// <param name="expertBytes">Bytes that one expert takes to load.</param>
    /// <param name="bytesPerSecond">What one host loads in a second.</param>
    public static IReadOnlyList<HostLoss> OfEach(ExpertPlan plan, long expertBytes, double bytesPerSecond) =>
        [.. plan.Devices.Select(device => device.Host).Distinct().Order(StringComparer.Ordinal).Select(host => Of(plan, host, expertBytes, bytesPerSecond))];

    /// <summary>How many hosts may be lost together, whichever they are, with a replica of every expert left. -1 when the plan itself is not whole.</summary>
    public static int SurvivedWithoutReload(ExpertPlan plan)
    {
        int fewest = int.MaxValue;
        HashSet<string> hosts = [];
        for (int expert = 0; expert < plan.Shape.Count; expert++)
        {
            hosts.Clear();
            foreach (int device in plan.ReplicasOf(expert))
                hosts.Add(plan.Devices[device].Host);
            fewest = Math.Min(fewest, hosts.Count);
        }

        return fewest - 1;
    }

    /// <summary>How many hosts may be lost together, whichever they are, with room for every expert left. -1 when there is none even now.</summary>
    public static int SurvivedWithReload(ExpertPlan plan)
    {
        long[] rooms = [.. plan.Devices.GroupBy(device => device.Host).Select(host => host.Sum(device => (long)device.Capacity)).Order()];
        int lost = rooms.Length;
        long left = 0;
        foreach (long room in rooms)
        {
            if (left >= plan.Shape.Count)
                break;
            left += room;
            lost--;
        }

        return left >= plan.Shape.Count ? lost : -1;
    }

    private static HostLoss Of(ExpertPlan plan, string host, long expertBytes, double bytesPerSecond)
    {
        int lost = 0;
        int missing = plan.Missing;
        Dictionary<string, long> room = [];
        foreach (PlanDevice device in plan.Devices.Where(device => device.Host != host))
            room[device.Host] = room.GetValueOrDefault(device.Host) + device.Capacity;
        for (int expert = 0; expert < plan.Shape.Count; expert++)
        {
            ReadOnlySpan<int> replicas = plan.ReplicasOf(expert);
            string? elsewhere = null;
            foreach (int device in replicas)
                elsewhere ??= plan.Devices[device].Host != host ? plan.Devices[device].Host : null;
            if (elsewhere is not null)
                room[elsewhere]--; // further replicas make room where it is short
            else if (replicas.Length > 0)
                lost++;
        }

        long free = room.Values.Sum();
        int homeless = (int)Math.Max(0, lost - free);
        return new HostLoss(host, lost, homeless + missing, homeless + missing > 0 ? null : LongTime.FromSeconds(MostOfOne([.. room.Values], lost) * (double)expertBytes / bytesPerSecond));
    }

    /// <summary>What the host that loads most loads, when they share the work as their rooms allow.</summary>
    private static long MostOfOne(long[] rooms, long lost)
    {
        Array.Sort(rooms);
        long most = 0;
        for (int i = 0; i < rooms.Length && lost > 0; i++)
        {
            long share = (lost + rooms.Length - i - 1) / (rooms.Length - i);
            long taken = Math.Min(rooms[i], share);
            lost -= taken;
            most = Math.Max(most, taken);
        }

        return most;
    }
}
