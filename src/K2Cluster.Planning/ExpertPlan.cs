using System.Collections.Immutable;
using System.Globalization;

namespace K2Cluster.Planning;

/// <summary>Which device is to hold which experts, and why; made by <see cref="ExpertPlanner"/>. Reasons are put into words when asked for.</summary>
public sealed class ExpertPlan
{
    private readonly ImmutableArray<int> _starts;
    private readonly ImmutableArray<int> _replicas;
    private readonly ImmutableArray<PlanReason> _reasons;
    private readonly ImmutableArray<bool> _isPostponed;
    private readonly ImmutableArray<string?> _cameFrom;
    private readonly ImmutableArray<double> _weights;
    private readonly ImmutableArray<double> _timesBefore;
    private readonly ImmutableArray<double> _times;

    internal ExpertPlan(PlanDraft draft)
    {
        (Shape, Devices) = (draft.Shape, [.. draft.Devices]);
        List<int> replicas = new(Shape.Count);
        List<PlanReason> reasons = new(Shape.Count);
        int[] starts = new int[Shape.Count + 1];
        for (int expert = 0; expert < Shape.Count; expert++)
        {
            if (draft.Owner[expert] >= 0)
            {
                replicas.Add(draft.Owner[expert]);
                reasons.Add(draft.OwnerReason[expert]);
                foreach ((int device, PlanReason reason) in draft.ReplicasOf(expert))
                {
                    replicas.Add(device);
                    reasons.Add(reason);
                }
            }

            starts[expert + 1] = replicas.Count;
        }

        (_starts, _replicas, _reasons) = ([.. starts], [.. replicas], [.. reasons]);
        (_weights, _timesBefore, _times) = ([.. draft.Weight], [.. draft.TimesBefore], [.. draft.LayerTimes()]);
        _cameFrom = [.. draft.CameFrom];
        Missing = draft.Owner.Count(owner => owner < 0);
        IsMissingSome = draft.IsMissingSome();
        _isPostponed = [.. draft.IsPostponed];
    }

    public PlanShape Shape { get; }

    /// <summary>In the order of their ids.</summary>
    public ImmutableArray<PlanDevice> Devices { get; }

    /// <summary>Experts that no device has room for.</summary>
    public int Missing { get; }

    /// <summary>Whether some experts are to be loaded that no device held when it was made, while others were held: what is held was not balanced then.</summary>
    public bool IsMissingSome { get; }

    /// <summary>The devices (indexes into <see cref="Devices"/>) that are to hold an expert, the owner first; none when there is no room for it.</summary>
    public ReadOnlySpan<int> ReplicasOf(int expert) => _replicas.AsSpan(_starts[expert].._starts[expert + 1]);

    /// <summary>Their ids, in that order.</summary>
    public ImmutableArray<string> DeviceIdsOf(int expert)
    {
        ReadOnlySpan<int> replicas = ReplicasOf(expert);
        ImmutableArray<string>.Builder ids = ImmutableArray.CreateBuilder<string>(replicas.Length);
        foreach (int device in replicas)
            ids.Add(Devices[device].Id);
        return ids.MoveToImmutable();
    }

    /// <summary>The device that is to load an expert before any replica is loaded; -1 when there is no room for it.</summary>
    public int OwnerOf(int expert) => ReplicasOf(expert) is [int owner, ..] ? owner : -1;

    /// <summary>Whether a later plan adds a replica: there is room for it once a device has dropped what it is not to hold any more.</summary>
    public bool IsPostponed(int expert) => _isPostponed[expert];

    /// <summary>How long a layer takes on its slowest device, when every expert of it has a row: for comparison with other plans of the same devices.</summary>
    public double LayerTime(int layer) => _times[layer];

    /// <summary>The load of an expert in units of the mean one of its layer.</summary>
    public double LoadOf(int expert) => _weights[expert];

    /// <summary>Whether another plan has the same replicas on the same devices, with the same owners.</summary>
    public bool IsSameAs(ExpertPlan other) =>
        Devices.Select(device => device.Id).SequenceEqual(other.Devices.Select(device => device.Id)) && _starts.AsSpan().SequenceEqual(other._starts.AsSpan()) && _replicas.AsSpan().SequenceEqual(other._replicas.AsSpan());

    /// <summary>Why an expert is where it is: one decision for each device that is to hold it.</summary>
    public IReadOnlyList<PlanDecision> Explain(int expert)
    {
        PlanDecision[] decisions = new PlanDecision[ReplicasOf(expert).Length];
        for (int i = 0; i < decisions.Length; i++)
        {
            int at = _starts[expert] + i;
            decisions[i] = new PlanDecision(Devices[_replicas[at]].Id, i == 0, _reasons[at], TextOf(expert, _replicas[at], _reasons[at], isOwner: i == 0));
        }

        return decisions;
    }

    private string TextOf(int expert, int device, PlanReason reason, bool isOwner)
    {
        int layer = expert / Shape.Experts;
        string load = string.Create(CultureInfo.InvariantCulture, $"{_weights[expert]:0.##} times the mean load of its layer");
        string from = isOwner && _cameFrom[expert] is { } before && before != Devices[device].Id ? $", until now on {before}" : "";
        return reason switch
        {
            PlanReason.Stays => IsMissingSome ? "it was there before, and experts that are nowhere come first" : "it was there before, and no move makes its layer enough faster",
            PlanReason.Pinned => "the operator wants it there",
            PlanReason.Placed => IsMissingSome ? $"no device had it, and each loads its part of what is missing{from}" : $"with {load} it adds the least time to its layer there{from}",
            PlanReason.NoRoomOnFaster => $"no faster device has room, and others of its layer are hotter than it with {load}{from}",
            PlanReason.Promoted => $"a faster device has room for it{from}",
            PlanReason.Joined => $"the device is new and gets its share of every layer{from}",
            PlanReason.Balanced => string.Create(CultureInfo.InvariantCulture, $"its layer takes {Percent(layer):0} % less time so{from}"),
            PlanReason.NowhereElse => $"the device is to be drained, but no other has room for it{from}",
            PlanReason.Hot => $"it has {load}, which the replicas share",
            PlanReason.Wished => "so many replicas of it are wanted, so that it outlives a host",
            _ => "a replica that is there already and may still be needed",
        };
    }

    private double Percent(int layer) => _timesBefore[layer] > 0 ? 100 * (1 - (_times[layer] / _timesBefore[layer])) : 0;
}
