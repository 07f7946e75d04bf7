namespace K2Cluster.Planning;

/// <summary>
/// Shortens the time of the slowest device of each layer by moving experts from it, as their owner or a replica, and exchanging
/// those that it owns, as long as that gains: what was only just placed freely, to devices that have joined until they have
/// their share, and what is held only if the layer gains enough by it. While requests wait for experts that nobody holds, only
/// devices that have joined get some: what is missing is loaded first, by all alike.
/// </summary>
internal sealed class LayerBalance(PlannerOptions options, PlanDraft draft)
{
    /// <summary>
    /// A step of what is held must shorten the slowest device's time by this part at least: no load is worth it for less. Where a
    /// device has so many experts that each is less than that, a move must gain half of what the mean of them takes.
    /// </summary>
    private const double LeastStep = 0.02;

    /// <summary>The same where nothing is held yet; below it, a plan only takes longer to make.</summary>
    private const double LeastFreeStep = 0.001;

    /// <summary>Ends what rounding could keep going; a layer needs far fewer.</summary>
    private const int MostSteps = 4096;

    private readonly int _tiers = draft.Tier.DefaultIfEmpty(-1).Max() + 1;
    private readonly List<(int Expert, int From, int To, PlanReason Reason, IReadOnlyList<(int Device, PlanReason Reason)> Dropped)> _undo = [];
    private readonly bool[] _isDone = new bool[draft.Devices.Length];

    /// <summary>[devices]: the experts of the layer that each owns or has a replica of.</summary>
    private readonly List<int>[] _on = [.. draft.Devices.Select(_ => new List<int>())];

    /// <summary>Which moves are looked at.</summary>
    private enum Scope
    {
        /// <summary>Of experts that no device holds yet.</summary>
        Unsettled,

        /// <summary>To devices that have just joined.</summary>
        ToJoined,
        All,
    }

    public void Run()
    {
        bool isMissing = !options.IsRebalance && draft.IsMissingSome();
        bool hasJoined = draft.Devices.Where((_, device) => !draft.HadBefore[device]).Any() && draft.HadBefore.Contains(true);
        for (int layer = 0; layer < draft.Shape.Layers; layer++)
        {
            Sort(layer);
            if (!isMissing)
                Improve(layer, Scope.Unsettled);
            if (hasJoined)
                Improve(layer, Scope.ToJoined);
            _undo.Clear();
            if (isMissing)
                continue;

            double before = draft.LayerTime(layer);
            Improve(layer, Scope.All);
            if (draft.LayerTime(layer) > before * (1 - options.MinGain))
                Undo(layer);
        }
    }

    private void Improve(int layer, Scope scope)
    {
        _isDone.AsSpan().Clear();
        for (int tier = 0; tier < _tiers; tier++)
        {
            for (int step = 0; step < MostSteps && Slowest(layer, tier) is var slowest and >= 0; step++)
            {
                if (TryStep(layer, slowest, tier, scope))
                    continue;
                if (scope != Scope.ToJoined)
                    break;
                _isDone[slowest] = true; // what has joined may be of the kind of those that are faster
            }
        }
    }

    private bool TryStep(int layer, int slowest, int tier, Scope scope)
    {
        double time = draft.TimeOf(layer, slowest);
        double most = scope == Scope.All ? time - Math.Min(LeastStep * time, time / _on[slowest].Count / 2) : time * (1 - LeastFreeStep);
        Step best = new(-1, -1, -1, most, false);
        foreach (int expert in _on[slowest])
        {
            if (!MayMove(expert, scope) || (scope == Scope.Unsettled && draft.Owner[expert] != slowest))
                continue;
            for (int target = 0; target < draft.Devices.Length; target++)
            {
                if (target == slowest || draft.Tier[target] > tier || !draft.Accepts(target) || draft.IsOn(expert, target) || (scope == Scope.ToJoined && draft.HadBefore[target]) || !MayGo(expert, slowest, target))
                    continue;
                if (MayLoad(layer, expert, slowest, target, scope))
                    best = Better(best, MoveOf(layer, expert, slowest, target));
                if (scope != Scope.ToJoined && draft.Accepts(slowest) && draft.Owner[expert] == slowest)
                    best = BestExchange(best, layer, expert, slowest, target, scope);
            }
        }

        if (best.Expert < 0)
            return false;
        Apply(best, slowest, scope);
        return true;
    }

    /// <summary>The device of a tier that takes longest, among those that may have something to move; -1 when none has.</summary>
    private int Slowest(int layer, int tier)
    {
        int slowest = -1;
        for (int device = 0; device < draft.Devices.Length; device++)
        {
            if (draft.Tier[device] == tier && !_isDone[device] && _on[device].Count > 0 && (slowest < 0 || draft.TimeOf(layer, device) > draft.TimeOf(layer, slowest)))
                slowest = device;
        }

        return slowest;
    }

    private bool MayMove(int expert, Scope scope) => draft.OwnerReason[expert] != PlanReason.Pinned && (scope != Scope.Unsettled || !draft.Settled[expert]);

    /// <summary>Whether a device may have an expert instead of another: replicas stay on as many hosts, and further ones on the kind and tier of their owner.</summary>
    private bool MayGo(int expert, int from, int to)
    {
        bool mayChange = draft.Owner[expert] == from ? draft.MayChangeTo(expert, to) : draft.Devices[to].Kind == draft.Devices[from].Kind && draft.Tier[to] == draft.Tier[from];
        return mayChange && (draft.Host[to] == draft.Host[from] || !draft.IsOnHost(expert, draft.Host[to]));
    }

    private bool MayLoad(int layer, int expert, int from, int target, Scope scope)
    {
        bool isReplica = draft.Owner[expert] != from;
        int room = isReplica ? options.RoomForReplicas(draft.Devices[target], draft.Shape) : draft.Devices[target].Capacity;
        bool waitsForNobody = draft.Holds[target][expert] || draft.Occupied[target] < room || (!isReplica && !draft.Settled[expert]);
        int part = scope == Scope.ToJoined ? (int)Math.Ceiling(room * (layer + 1.0) / draft.Shape.Layers) : room; // some of its room for every layer
        return draft.Planned[target] < part && waitsForNobody;
    }

    private Step MoveOf(int layer, int expert, int from, int to)
    {
        double share = draft.ShareOf(expert);
        return new Step(expert, to, -1, Math.Max(draft.TimeOf(layer, from, -share), draft.TimeOf(layer, to, share)), draft.Holds[to][expert]);
    }

    /// <summary>Two devices that are full cannot exchange what they hold: each would wait for the other to drop first.</summary>
    private Step BestExchange(Step best, int layer, int expert, int from, int to, Scope scope)
    {
        double share = draft.ShareOf(expert);
        double most = scope == Scope.All ? Math.Min(best.Time, draft.TimeOf(layer, from) * (1 - LeastStep)) : best.Time;
        // Even without anything in return it would not help.
        if (draft.TimeOf(layer, from, -share) >= most)
            return best;
        foreach (int other in _on[to])
        {
            double difference = share - draft.ShareOf(other);
            if (difference <= 0 || draft.Owner[other] != to || !MayMove(other, scope) || draft.IsOn(other, from) || !MayGo(other, to, from))
                continue;
            double time = Math.Max(draft.TimeOf(layer, from, -difference), draft.TimeOf(layer, to, difference));
            if (time >= Math.Min(most, best.Time))
                continue;
            bool bothLoad = draft.Settled[expert] || draft.Settled[other];
            if (!bothLoad || IsSpare(from) || IsSpare(to))
                best = new Step(expert, to, other, time, false);
        }

        return best;
    }

    private bool IsSpare(int device) => draft.Occupied[device] < draft.Devices[device].Capacity;

    private static Step Better(Step best, Step step) =>
        step.Time < best.Time || (step.Time == best.Time && step.IsHeld && !best.IsHeld && best.Exchanged < 0) ? step : best;

    private void Apply(Step step, int from, Scope scope)
    {
        Move(step.Expert, from, step.Target, scope);
        if (step.Exchanged >= 0)
            Move(step.Exchanged, step.Target, from, scope);
    }

    private void Move(int expert, int from, int to, Scope scope)
    {
        PlanReason before = draft.ReasonOf(expert, from);
        PlanReason reason = scope switch
        {
            Scope.Unsettled => draft.Tier[to] == 0 ? PlanReason.Placed : PlanReason.NoRoomOnFaster,
            Scope.ToJoined => PlanReason.Joined,
            _ => PlanReason.Balanced,
        };
        IReadOnlyList<(int Device, PlanReason Reason)> dropped = draft.Move(expert, from, to, reason);
        _undo.Add((expert, from, to, before, dropped));
        foreach ((int device, _) in dropped)
            _on[device].Remove(expert);
        _on[from].Remove(expert);
        _on[to].Add(expert);
    }

    private void Undo(int layer)
    {
        for (int i = _undo.Count - 1; i >= 0; i--)
        {
            draft.Move(_undo[i].Expert, _undo[i].To, _undo[i].From, _undo[i].Reason);
            foreach ((int device, PlanReason reason) in _undo[i].Dropped)
                draft.AddReplica(_undo[i].Expert, device, reason);
        }

        Sort(layer);
    }

    private void Sort(int layer)
    {
        foreach (List<int> experts in _on)
            experts.Clear();
        for (int expert = layer * draft.Shape.Experts; expert < (layer + 1) * draft.Shape.Experts; expert++)
        {
            if (draft.Owner[expert] >= 0)
                _on[draft.Owner[expert]].Add(expert);
            foreach ((int device, _) in draft.ReplicasOf(expert))
                _on[device].Add(expert);
        }
    }

    /// <summary>An expert from the slowest device to a target, for another in return or not, and the longer of the two devices' times after it.</summary>
    private readonly record struct Step(int Expert, int Target, int Exchanged, double Time, bool IsHeld);
}
