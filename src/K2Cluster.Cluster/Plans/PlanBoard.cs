using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Plans;

/// <summary>Where <see cref="PlanWatcher"/> pins the newest plan and what it knows of the silos, for everybody to read without waiting.</summary>
internal sealed class PlanBoard : IPlanSource
{
    private readonly Lock _lock = new();
    private volatile State _state = new(null, null, null, false, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    public PlacementPlan? Current => _state.Plan;

    /// <summary>
    /// Once the plan was complete, experts that are being loaded after a loss keep nobody from admitting work: it waits for
    /// them. What keeps is that they fit nowhere, or that nobody is left.
    /// </summary>
    public string? NotReadyReason
    {
        get
        {
            State state = _state;
            return state.Plan is null ? state.Problem ?? "waiting for a placement plan" : state.Gone ?? (state.LacksExperts ? state.Plan.Incomplete : null);
        }
    }

    public string? PublicNotReadyReason
    {
        get
        {
            State state = _state;
            return state.Plan is null ? "no silo has said yet which experts it has"
                : state.Gone is not null ? "every silo is gone: the operator must start one"
                : state.LacksExperts ? state.Plan.PublicIncomplete ?? "experts are missing: the operator must start another silo"
                : null;
        }
    }

    /// <summary>Pins a plan unless a newer one hangs there already.</summary>
    /// <exception cref="ArgumentException">The plan contradicts itself.</exception>
    public void Publish(PlacementPlan plan)
    {
        Check(plan);
        Change(state => state.Plan is { } known && known.Epoch >= plan.Epoch ? state : state with { Plan = plan, Problem = null, WasComplete = state.WasComplete || plan.Incomplete is null });
    }

    /// <summary>Says why no plan comes; shown as long as there is none.</summary>
    public void SetProblem(string? problem) => Change(state => state with { Problem = problem });

    /// <summary>Says, in words, that nobody is left of the plan; null when somebody is, who will make the next one.</summary>
    public void SetGone(string? gone) => Change(state => state with { Gone = gone });

    public async Task WaitForNewerAsync(Epoch known, CancellationToken cancellationToken)
    {
        for (State state = _state; state.Plan is null || state.Plan.Epoch <= known; state = _state)
            await state.Changed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    public async Task WaitForCompleteAsync(CancellationToken cancellationToken)
    {
        for (State state = _state; NotReadyReason is not null; state = _state)
            await state.Changed.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private void Change(Func<State, State> change)
    {
        TaskCompletionSource changed;
        lock (_lock)
        {
            State old = _state;
            State next = change(old);
            if (next == old)
                return;
            changed = old.Changed;
            _state = next with { Changed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously) };
        }

        changed.SetResult();
    }

    private static void Check(PlacementPlan plan)
    {
        ExpertGrid grid = plan.Grid;
        bool valid = grid.Layers > 0 && grid.Experts > 0 && (long)grid.Layers * grid.Experts < int.MaxValue
            && !plan.Shards.IsDefault && !plan.ReplicaStarts.IsDefault && !plan.ReplicaShards.IsDefault
            && (plan.Speeds.IsDefaultOrEmpty || (plan.Speeds.Length == plan.Shards.Length && plan.Speeds.All(speed => float.IsFinite(speed) && speed > 0)))
            && plan.ReplicaStarts.Length == grid.Count + 1 && plan.ReplicaStarts[0] == 0 && plan.ReplicaStarts[^1] == plan.ReplicaShards.Length;
        for (int i = 0; valid && i < grid.Count; i++)
            valid = plan.ReplicaStarts[i] <= plan.ReplicaStarts[i + 1];
        foreach (int shard in valid ? plan.ReplicaShards : [])
            valid &= (uint)shard < (uint)plan.Shards.Length;
        if (!valid)
            throw new ArgumentException($"The placement plan of epoch {plan.Epoch} contradicts itself.");
    }

    private sealed record State(PlacementPlan? Plan, string? Problem, string? Gone, bool WasComplete, TaskCompletionSource Changed)
    {
        public bool LacksExperts => Plan?.Incomplete is not null && !(WasComplete && Plan.IsFilling);
    }
}
