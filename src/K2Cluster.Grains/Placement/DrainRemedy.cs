using K2Cluster.Planning;

namespace K2Cluster.Grains.Placement;

/// <summary>What an operator can do where experts stay on a silo that is to be drained.</summary>
internal static class DrainRemedy
{
    public static string For(string silo, ExpertPlan plan, PlacementWishes wishes)
    {
        int[] planned = new int[plan.Devices.Length];
        for (int expert = 0; expert < plan.Shape.Count; expert++)
        {
            foreach (int device in plan.ReplicasOf(expert))
                planned[device]++;
        }

        HashSet<string> open = [.. plan.Devices.Where((device, i) => device.CanLoad && planned[i] < device.Capacity).Select(device => device.Host)];
        string[] others = [.. wishes.Drained.Where(other => other != silo && open.Contains(other))];
        return others.Length == 0 ? "start another silo or raise --memory" : $"start another silo, raise --memory, or undrain {string.Join(" or ", others)}";
    }
}
