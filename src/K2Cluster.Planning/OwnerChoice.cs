namespace K2Cluster.Planning;

/// <summary>Gives every expert its owner: the one that it had, else, as long as none gets more than its part, the device that makes its layer longer by the least.</summary>
internal sealed class OwnerChoice(PlanRequest request, PlanDraft draft)
{
    private readonly PlanShape _shape = draft.Shape;
    private readonly int[] _byTier = [.. Enumerable.Range(0, draft.Devices.Length).OrderBy(device => draft.Tier[device])];

    /// <summary>[devices]: its part of the homeless experts, and how many it was given.</summary>
    private readonly double[] _part = new double[draft.Devices.Length];
    private readonly int[] _taken = new int[draft.Devices.Length];

    /// <summary>The devices that an expert may go to.</summary>
    private readonly List<int> _open = [];

    /// <summary>First what the operator wants.</summary>
    /// <param name="mayReplicate">Asked for each replica beyond the first: whether the device has room that owners do not need.</param>
    public void Pin(Predicate<int> mayReplicate)
    {
        foreach ((int expert, System.Collections.Immutable.ImmutableArray<string> ids) in request.Wishes.Pinned.OrderBy(pin => pin.Key))
        {
            if ((uint)expert >= (uint)_shape.Count)
                continue;
            int[] devices = [.. ids.Distinct().Select(id => Array.FindIndex(draft.Devices, device => device.Id == id)).Where(device => device >= 0 && MayKeep(device, expert) && draft.HasRoom(device))];
            devices = [.. devices.Where(device => draft.Devices[device].Kind == draft.Devices[devices[0]].Kind)];
            if (devices.Length == 0)
                continue;
            int[] further = [.. devices[1..].Where(device => mayReplicate(device))];
            draft.Wanted[expert] = 1 + further.Length;
            draft.Give(expert, devices[0], PlanReason.Pinned);
            foreach (int device in further)
                draft.AddReplica(expert, device, PlanReason.Pinned);
        }
    }

    /// <summary>
    /// Leaves experts with the owner of the plan before, else with a device that holds them. What that owner has not loaded yet
    /// goes by the devices of which the plan before knew nothing: to one that holds it, as it was thought to be nowhere; and what
    /// nobody holds is placed anew, so that all load their part.
    /// </summary>
    public void Keep()
    {
        int[] before = OwnersBefore();
        HashSet<string> known = [.. request.Previous?.Devices.Where(device => device.Capacity > 0 || !device.Held.IsEmpty).Select(device => device.Id) ?? []];
        bool[] isNew = [.. draft.Devices.Select((device, i) => !known.Contains(device.Id) && draft.Accepts(i))];
        bool isAnyNew = isNew.Contains(true);
        for (int expert = 0; expert < _shape.Count; expert++)
        {
            int owner = before[expert];
            if (owner >= 0)
                draft.CameFrom[expert] ??= draft.Devices[owner].Id;
            if (draft.Owner[expert] >= 0)
                continue;
            if (owner < 0 || !MayKeep(owner, expert) || !draft.HasRoom(owner))
                owner = Holder(expert, _ => true);
            else if (!draft.Holds[owner][expert] && Holder(expert, device => isNew[device] && draft.Tier[device] <= draft.Tier[owner]) is var holder and >= 0)
                owner = holder;
            else if (!draft.IsHeld[expert] && isAnyNew)
                owner = -1;
            if (owner < 0)
                continue;
            draft.Give(expert, owner, PlanReason.Stays);
            draft.Settled[expert] = true;
        }
    }

    /// <summary>
    /// Places what has no owner, the hottest of a layer first. Where memory is short it is spent evenly over the layers: each
    /// may use its part of what a device has left. Devices get parts of all as they are fast, whatever they own: requests wait for
    /// the one that loads longest, and what that makes of the layers' times is balanced later. By speed and not in equal parts, so
    /// that little moves then: a device that computes faster than others of its tier from a disk like theirs loads longer.
    /// </summary>
    /// <param name="placed">Called with each, so that its replicas are there before colder experts fill up around them.</param>
    public void Place(Action<int> placed)
    {
        int[][] homeless = [.. Enumerable.Range(0, _shape.Layers).Select(Homeless)];
        int remaining = homeless.Sum(layer => layer.Length);
        ShareOut(remaining);
        int[] allowed = new int[draft.Devices.Length];
        for (int layer = 0; layer < _shape.Layers; layer++)
        {
            if (homeless[layer].Length == 0)
                continue;
            Allow(allowed, homeless[layer].Length, remaining);
            remaining -= homeless[layer].Length;
            foreach (int expert in homeless[layer])
            {
                Place(layer, expert, allowed);
                if (draft.Owner[expert] >= 0)
                    placed(expert);
            }
        }
    }

    /// <summary>
    /// Places what is left on devices that are drained: a host that cannot be stopped yet is better than answers that fail. What is
    /// on its way to one of them does not turn to another; all goes as soon as a device that is not drained has room.
    /// </summary>
    public void PlaceOnDrained()
    {
        int[] drained = [.. _byTier.Where(device => draft.Drained[device] && draft.Devices[device].CanLoad)];
        for (int layer = 0; layer < _shape.Layers && drained.Length > 0; layer++)
        {
            foreach (int expert in Homeless(layer))
            {
                int[] open = [.. drained.Where(draft.HasRoom)];
                if (open.Length > 0)
                    draft.Give(expert, open.MinBy(device => (draft.Tier[device], draft.Devices[device].Id != draft.CameFrom[expert], draft.TimeOf(layer, device, draft.ShareOf(expert)))), PlanReason.NowhereElse);
            }
        }
    }

    /// <summary>What is on a slow device goes to a faster one that has room; in turn over the layers, the hottest first.</summary>
    public void Promote()
    {
        int slowest = draft.Tier.DefaultIfEmpty().Max();
        for (int tier = 1; tier <= slowest; tier++)
        {
            int[][] slow = [.. Enumerable.Range(0, _shape.Layers).Select(layer => ByWeight(layer, expert => draft.Owner[expert] is var owner && owner >= 0 && draft.Tier[owner] == tier && draft.OwnerReason[expert] != PlanReason.Pinned))];
            bool hasRoom = true;
            for (int rank = 0; hasRoom && slow.Any(layer => rank < layer.Length); rank++)
            {
                for (int layer = 0; layer < slow.Length && hasRoom; layer++)
                    hasRoom = rank >= slow[layer].Length || Promote(layer, slow[layer][rank], tier);
            }
        }
    }

    /// <returns>Whether a faster device has room: for this expert, or for one that may change to its kind.</returns>
    private bool Promote(int layer, int expert, int tier)
    {
        bool hasRoom = false;
        int best = -1;
        foreach (int device in _byTier)
        {
            bool may = draft.Tier[device] < tier && draft.Accepts(device) && draft.HasRoom(device) && !draft.IsOn(expert, device)
                && (draft.Holds[device][expert] || draft.Occupied[device] < draft.Devices[device].Capacity);
            hasRoom |= may;
            if (may && draft.MayChangeTo(expert, device) && (best < 0 || (draft.Tier[device] == draft.Tier[best] && Time(device) < Time(best))))
                best = device;
        }

        if (best >= 0)
            draft.Move(expert, draft.Owner[expert], best, PlanReason.Promoted);
        return hasRoom;

        double Time(int device) => draft.TimeOf(layer, device, draft.ShareOf(expert));
    }

    private void Place(int layer, int expert, int[] allowed)
    {
        double share = draft.ShareOf(expert);
        int best = Best(device => allowed[device] > 0);
        if (best < 0)
            best = Best(_ => true);
        if (best >= 0)
        {
            allowed[best]--;
            _taken[best]++;
            draft.Give(expert, best, IsFastest(best) ? PlanReason.Placed : PlanReason.NoRoomOnFaster);
            return;
        }

        // Better served by a host that waits to leave than by nobody.
        int leaving = Array.FindIndex(_byTier, device => draft.Holds[device][expert] && draft.HasRoom(device));
        if (leaving >= 0)
        {
            draft.Give(expert, _byTier[leaving], PlanReason.NowhereElse);
            draft.Settled[expert] = true;
        }

        int Best(Predicate<int> may)
        {
            _open.Clear();
            (double part, int taken) = (0, 0);
            foreach (int device in _byTier)
            {
                if (_open.Count > 0 && draft.Tier[device] > draft.Tier[_open[0]])
                    break;
                if (!draft.Accepts(device) || !draft.HasRoom(device) || !may(device))
                    continue;
                _open.Add(device);
                (part, taken) = (part + _part[device], taken + _taken[device]);
            }

            int best = -1;
            (bool IsAhead, bool IsOther, double Time, double Owned) bestRank = default;
            foreach (int device in _open)
            {
                bool isAhead = _taken[device] - (part > 0 ? taken * _part[device] / part : 0) >= MayBeAhead(_part[device]);
                (bool, bool, double, double) rank = (isAhead, draft.Devices[device].Id != draft.CameFrom[expert], draft.TimeOf(layer, device, share), draft.Owned[device] / draft.Devices[device].Speed);
                if (best < 0 || rank.CompareTo(bestRank) < 0)
                    (best, bestRank) = (device, rank);
            }

            return best;
        }
    }

    /// <summary>Loads by which a device may be ahead of its part for the time of a layer: a hundredth longer to wait is not much.</summary>
    private static double MayBeAhead(double part) => 1 + (part / 100);

    /// <summary>Devices' parts of so many experts: those of the fastest tier by their speed as far as they have room, then those of the next.</summary>
    private void ShareOut(double experts)
    {
        foreach (IGrouping<int, int> tier in _byTier.Where(draft.Accepts).GroupBy(device => draft.Tier[device]))
        {
            // Those with the least room for their speed are full first.
            double speed = tier.Sum(device => draft.Devices[device].Speed);
            foreach (int device in tier.OrderBy(device => Room(device) / draft.Devices[device].Speed))
            {
                _part[device] = Math.Min(Room(device), experts * draft.Devices[device].Speed / speed);
                experts -= _part[device];
                speed -= draft.Devices[device].Speed;
            }
        }

        double Room(int device) => Math.Max(0, draft.Devices[device].Capacity - draft.Planned[device]);
    }

    private bool IsFastest(int device) => draft.Tier[device] == 0;

    /// <summary>Each device's part of its room for this layer. The rounding differs from device to device, so that not all round up in one layer.</summary>
    private void Allow(int[] allowed, int homeless, int remaining)
    {
        long room = 0;
        for (int device = 0; device < allowed.Length; device++)
            room += draft.Accepts(device) ? Math.Max(0, draft.Devices[device].Capacity - draft.Planned[device]) : 0;
        double part = Math.Min(1, homeless / (double)Math.Max(1, Math.Min(remaining, room)));
        for (int device = 0; device < allowed.Length; device++)
            allowed[device] = (int)(((draft.Devices[device].Capacity - draft.Planned[device]) * part) + ((device + 0.5) / allowed.Length));
    }

    private int[] Homeless(int layer) => ByWeight(layer, expert => draft.Owner[expert] < 0);

    private int[] ByWeight(int layer, Func<int, bool> which) =>
        [.. Enumerable.Range(layer * _shape.Experts, _shape.Experts).Where(which).OrderByDescending(expert => draft.Weight[expert])];

    private int[] OwnersBefore()
    {
        int[] before = new int[_shape.Count];
        before.AsSpan().Fill(-1);
        if (request.Previous is not { } previous || previous.Shape != _shape)
            return before;
        int[] now = [.. previous.Devices.Select(old => Array.FindIndex(draft.Devices, device => device.Id == old.Id))];
        for (int expert = 0; expert < before.Length; expert++)
        {
            int owner = previous.OwnerOf(expert);
            if (owner < 0)
                continue;
            draft.CameFrom[expert] = previous.Devices[owner].Id;
            before[expert] = now[owner];
            if (now[owner] >= 0)
                draft.HadBefore[now[owner]] = true;
        }

        return before;
    }

    private int Holder(int expert, Predicate<int> may)
    {
        int best = -1;
        for (int device = 0; device < draft.Devices.Length; device++)
        {
            if (!draft.Holds[device][expert] || !MayKeep(device, expert) || !draft.HasRoom(device) || !may(device))
                continue;
            if (best < 0 || (draft.Tier[device], Time(device)).CompareTo((draft.Tier[best], Time(best))) < 0)
                best = device;
        }

        return best;

        double Time(int device) => draft.TimeOf(expert / _shape.Experts, device);
    }

    private bool MayKeep(int device, int expert) => !draft.Drained[device] && (draft.Devices[device].CanLoad || draft.Holds[device][expert]);
}
