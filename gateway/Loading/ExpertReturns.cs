using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;

namespace K2Cluster.Gateway.Loading;

/// <summary>
/// Tells when experts that were missing are there again, by the placement's plans: what waits for them need not wait for the end
/// of its pause.
/// </summary>
internal static class ExpertReturns
{
    /// <summary>Calls <paramref name="onReturn"/> for each plan that has every expert after one that had not, or had other shards. Ends with the token only.</summary>
    public static async Task WatchAsync(IPlanSource plans, Action onReturn, CancellationToken ending)
    {
        PlacementPlan? before = null;
        while (true)
        {
            await plans.WaitForNewerAsync(before?.Epoch ?? Epoch.None, ending);
            PlacementPlan plan = plans.Current!;
            if (plan.Incomplete is null && before is not null && (before.Incomplete is not null || !before.Shards.AsSpan().SequenceEqual(plan.Shards.AsSpan())))
                onReturn();
            before = plan;
        }
    }
}
