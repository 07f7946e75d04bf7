namespace K2Cluster.Planning;

/// <summary>
/// Gives memory that owners leave to replicas: those the operator wants, then those of hot experts, the hottest first. What one
/// of them finds no place for is offered to the next.
/// </summary>
internal sealed class ReplicaChoice(PlanRequest request, PlanDraft draft)
{
    private readonly PlannerOptions _options = request.Options;
    private readonly List<int>?[] _before = ReplicasBefore(request, draft);

    /// <summary>[tiers]: replicas that may still be added.</summary>
    private readonly long[] _room = RoomForReplicas(draft, device => request.Options.RoomForReplicas(device, draft.Shape));

    /// <summary>[tiers]: the same with the head-room, for those of which an operator wants so many.</summary>
    private readonly long[] _spare = RoomForReplicas(draft, device => device.Capacity);

    /// <summary>[devices]: replicas that wait until it has dropped something, before colder ones may stay there.</summary>
    private readonly int[] _promised = new int[draft.Devices.Length];

    /// <summary>How many replicas each expert is to have, as far as the memory that owners leave goes.</summary>
    public void ChooseCounts()
    {
        long room = _room.Sum();
        foreach ((int expert, int replicas) in Candidates())
        {
            if (room-- <= 0 && !IsAskedFor(expert, replicas))
                break; // those that are asked for come first
            draft.Wanted[expert] = replicas;
        }
    }

    /// <summary>Takes room for a replica that an operator put on a device: of the device's tier or, as owners may go to another for it, of any.</summary>
    /// <returns>Whether there is some: a replica is not worth an expert that is nowhere, or that keeps a drained host from its end.</returns>
    public bool TryTakeFor(int device)
    {
        int tier = _spare[draft.Tier[device]] > 0 ? draft.Tier[device] : Array.FindIndex(_spare, room => room > 0);
        if (tier < 0)
            return false;
        _room[tier]--;
        _spare[tier]--;
        return true;
    }

    /// <summary>Leaves replicas where they are, as far as they are wanted; first those of which an operator wants so many.</summary>
    public void Keep()
    {
        foreach (int expert in request.Wishes.Copies.Keys.Where(expert => (uint)expert < (uint)draft.Shape.Count).Order())
            Keep(expert);
        for (int expert = 0; expert < draft.Shape.Count; expert++)
            Keep(expert);
    }

    /// <summary>Adds those that are wanted and not there, the hottest experts first; what finds no room is not wanted any more.</summary>
    public void Add()
    {
        IEnumerable<int> wanted = Enumerable.Range(0, draft.Shape.Count).Where(expert => draft.Wanted[expert] > 1 && MayHaveMore(expert));
        foreach (int expert in wanted.OrderByDescending(draft.ShareOf).ToArray())
        {
            Add(expert);
            draft.Want(expert, draft.ReplicasOf(expert).Count + 1);
        }
    }

    /// <summary>Adds those of one expert that has an owner.</summary>
    public void Add(int expert)
    {
        while (draft.ReplicasOf(expert).Count + 1 < draft.Wanted[expert] && Best(expert) is var device and >= 0)
            Add(expert, device);
    }

    /// <summary>Offers the room that is left to those that are not wanted yet: hotter ones have no use for it, where all that is free is on the device that has them.</summary>
    /// <param name="onlyHeld">Leaves it to those that are there; the others come when it is known where owners are.</param>
    public void Spread(bool onlyHeld)
    {
        foreach ((int expert, int replicas) in Candidates())
        {
            if (!_room.AsSpan().ContainsAnyInRange(1, long.MaxValue) && !IsAskedFor(expert, replicas))
                break;
            if (draft.ReplicasOf(expert).Count + 2 != replicas || !MayHaveMore(expert))
                continue;
            if (Best(expert) is var device and >= 0 && (!onlyHeld || draft.Holds[device][expert]))
            {
                draft.Want(expert, replicas);
                Add(expert, device);
            }
            else if (Best(expert, waits: true) is var later and >= 0)
            {
                _promised[later]++;
                _room[draft.Tier[later]]--;
                draft.IsPostponed[expert] = !onlyHeld;
            }
        }

        for (int device = 0; device < _promised.Length; device++)
            (_room[draft.Tier[device]], _promised[device]) = (_room[draft.Tier[device]] + _promised[device], 0);
    }

    private bool MayHaveMore(int expert) => draft.Owner[expert] >= 0 && draft.OwnerReason[expert] != PlanReason.Pinned;

    /// <summary>The second, third … replicas that experts are to have as far as there is room, in the order in which they get it.</summary>
    private (int Expert, int Replicas)[] Candidates()
    {
        int[] there = CountThere();
        double stay = _options.HotFactor / _options.StayHotFactor;
        List<(double Priority, int Expert, int Replicas)> candidates = [];
        for (int expert = 0; expert < draft.Shape.Count; expert++)
        {
            int count = Math.Min(Count(expert), draft.Devices.Length);
            int kept = Math.Max(there[expert], _before[expert]?.Count ?? 1);
            for (int replicas = 2; replicas <= count; replicas++)
            {
                double load = draft.Weight[expert] / (replicas - 1) * (replicas <= kept ? stay : 1); // not by turns, while loads waver
                candidates.Add(((IsAskedFor(expert, replicas) ? 2e9 : replicas <= request.Wishes.Replicas ? 1e9 : 0) + load, expert, replicas));
            }
        }

        return [.. candidates.OrderByDescending(candidate => candidate.Priority).ThenBy(candidate => candidate.Expert).Select(candidate => (candidate.Expert, candidate.Replicas))];
    }

    /// <summary>[experts]: the replicas that it has without loading any but the owner's.</summary>
    private int[] CountThere()
    {
        int[] there = new int[draft.Shape.Count];
        for (int device = 0; device < draft.Devices.Length; device++)
        {
            foreach (int expert in draft.Drained[device] ? [] : draft.Devices[device].Held)
                there[expert]++;
        }

        for (int expert = 0; expert < there.Length; expert++)
            there[expert] += draft.Owner[expert] is var owner and >= 0 && !draft.Holds[owner][expert] ? 1 : 0;
        return there;
    }

    private int Count(int expert)
    {
        int before = _before[expert]?.Count ?? 1;
        int least = request.Wishes.ReplicasOf(expert);
        if (request.Load is null) // which of those there were are hot is not known: all may be, unless an operator wants no second ones
            return Math.Max(least, request.Wishes.Replicas > 1 ? Math.Min(before, _options.MaxReplicas) : 1);
        double weight = draft.Weight[expert];
        int count = Math.Max(1, (int)Math.Ceiling(weight / _options.HotFactor));
        while (count < before && weight / count > _options.StayHotFactor)
            count++;
        return Math.Max(least, Math.Min(count, _options.MaxReplicas));
    }

    private void Keep(int expert)
    {
        if (draft.Wanted[expert] < 2 || !MayHaveMore(expert))
            return;
        foreach (int device in _before[expert] ?? [])
        {
            if (draft.ReplicasOf(expert).Count + 1 < draft.Wanted[expert] && IsThereOrMayCome(expert, device) && draft.HasRoom(device) && MayReplicate(expert, device, IsNextAskedFor(expert)))
                Add(expert, device, PlanReason.StaysReplica);
        }
    }

    /// <summary>Whether a device holds the expert, or has room to load it now: one that is on its way does not turn round.</summary>
    private bool IsThereOrMayCome(int expert, int device) =>
        draft.Holds[device][expert] || draft.Occupied[device] < _options.RoomForReplicas(draft.Devices[device], draft.Shape);

    /// <summary>Whether an operator wants so many replicas of just this expert.</summary>
    private bool IsAskedFor(int expert, int replicas) => replicas <= request.Wishes.Copies.GetValueOrDefault(expert);

    private bool IsNextAskedFor(int expert) => IsAskedFor(expert, draft.ReplicasOf(expert).Count + 2);

    /// <summary>The device for one more replica; -1 when none has room.</summary>
    /// <param name="expert">The expert.</param>
    /// <param name="waits">Also where there is room only when what is dropped has gone.</param>
    private int Best(int expert, bool waits = false)
    {
        int best = -1;
        bool usesHeadRoom = IsNextAskedFor(expert);
        (bool SameHost, bool NotBefore, double Time) bestRank = default;
        for (int device = 0; device < draft.Devices.Length; device++)
        {
            int limit = usesHeadRoom ? draft.Devices[device].Capacity : _options.RoomForReplicas(draft.Devices[device], draft.Shape);
            // What is dropped may wait for what a replica would take the room of.
            bool hasRoom = draft.Planned[device] + _promised[device] < limit && (waits || draft.Holds[device][expert] || draft.Occupied[device] < limit);
            if (!hasRoom || !MayReplicate(expert, device, usesHeadRoom))
                continue;
            (bool, bool, double) rank = (draft.IsOnHost(expert, draft.Host[device]), !draft.Holds[device][expert], draft.TimeOf(expert / draft.Shape.Experts, device, draft.ShareOf(expert)));
            if (best < 0 || rank.CompareTo(bestRank) < 0)
                (best, bestRank) = (device, rank);
        }

        return best;
    }

    private bool MayReplicate(int expert, int device, bool usesHeadRoom)
    {
        int owner = draft.Owner[expert];
        return draft.Accepts(device) && (usesHeadRoom ? _spare : _room)[draft.Tier[device]] > 0 && !draft.IsOn(expert, device)
            && draft.Tier[device] <= draft.Tier[owner] && draft.Devices[device].Kind == draft.Devices[owner].Kind;
    }

    private void Add(int expert, int device) =>
        Add(expert, device, draft.ReplicasOf(expert).Count + 2 <= request.Wishes.ReplicasOf(expert) ? PlanReason.Wished : PlanReason.Hot);

    private void Add(int expert, int device, PlanReason reason)
    {
        _room[draft.Tier[device]]--;
        _spare[draft.Tier[device]]--;
        draft.AddReplica(expert, device, reason);
    }

    /// <summary>What owners leave in each tier of what replicas may take of each device; nothing while experts have to go to a slower one.</summary>
    private static long[] RoomForReplicas(PlanDraft draft, Func<PlanDevice, int> limit)
    {
        long[] room = new long[draft.Tier.DefaultIfEmpty(-1).Max() + 1];
        long owners = draft.Shape.Count;
        for (int tier = 0; tier < room.Length; tier++)
        {
            PlanDevice[] devices = [.. draft.Devices.Where((_, device) => draft.Tier[device] == tier && draft.Accepts(device))];
            long here = Math.Min(owners, devices.Sum(device => (long)device.Capacity));
            room[tier] = Math.Max(0, devices.Sum(device => (long)limit(device)) - here);
            owners -= here;
        }

        return room;
    }

    /// <summary>[experts]: the devices that have replicas by the plan before, or hold them before the first; null where fewer than two do.</summary>
    private static List<int>?[] ReplicasBefore(PlanRequest request, PlanDraft draft)
    {
        List<int>?[] before = new List<int>?[draft.Shape.Count];
        if (request.Previous is { } previous && previous.Shape == draft.Shape)
        {
            int[] now = [.. previous.Devices.Select(old => Array.FindIndex(draft.Devices, device => device.Id == old.Id))];
            for (int expert = 0; expert < before.Length; expert++)
            {
                ReadOnlySpan<int> replicas = previous.ReplicasOf(expert);
                foreach (int old in replicas.Length > 1 ? replicas : [])
                {
                    if (now[old] >= 0)
                        (before[expert] ??= []).Add(now[old]);
                }
            }
        }
        else
        {
            for (int device = 0; device < draft.Devices.Length; device++)
            {
                foreach (int expert in draft.Devices[device].Held)
                    (before[expert] ??= []).Add(device);
            }
        }

        return before;
    }
}
