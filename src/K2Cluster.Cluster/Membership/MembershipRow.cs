using System.Net;
using System.Text.Json.Serialization;

namespace K2Cluster.Cluster.Membership;

/// <summary>A member as it is kept: Orleans' entry in plain types, its etag, and the process that it is.</summary>
internal sealed record MembershipRow
{
    /// <summary>"address:port@generation".</summary>
    public required string Address { get; init; }

    public required string ETag { get; init; }

    public required string Status { get; init; }

    public required string SiloName { get; init; }

    public required string HostName { get; init; }

    public required string RoleName { get; init; }

    public required int ProxyPort { get; init; }

    public required DateTime StartTime { get; init; }

    public required DateTime AliveTime { get; init; }

    /// <summary>Who suspects it and since when.</summary>
    public required List<Suspicion> Suspicions { get; init; }

    /// <summary>The process (<see cref="ProcessIdentity"/>) that inserted the row: a member inserts its own.</summary>
    public required string Process { get; init; }

    [JsonIgnore]
    public bool IsDead => Status == nameof(SiloStatus.Dead);

    public static string AddressOf(SiloAddress address) => $"{address.Endpoint}@{address.Generation}";

    public static MembershipRow From(MembershipEntry entry, string etag, string process) => new()
    {
        Address = AddressOf(entry.SiloAddress),
        ETag = etag,
        Status = entry.Status.ToString(),
        SiloName = entry.SiloName ?? "",
        HostName = entry.HostName ?? "",
        RoleName = entry.RoleName ?? "",
        ProxyPort = entry.ProxyPort,
        StartTime = entry.StartTime,
        AliveTime = entry.IAmAliveTime,
        Suspicions = [.. (entry.SuspectTimes ?? []).Select(suspicion => new Suspicion(AddressOf(suspicion.Item1), suspicion.Item2))],
        Process = process,
    };

    /// <exception cref="FormatException">A value of the row is none.</exception>
    public MembershipEntry ToEntry() => new()
    {
        SiloAddress = ParseAddress(Address),
        Status = Enum.TryParse(Status, out SiloStatus status) && Enum.IsDefined(status) ? status : throw new FormatException($"'{Status}' is no silo status."),
        SiloName = SiloName,
        HostName = HostName,
        RoleName = RoleName,
        ProxyPort = ProxyPort,
        StartTime = StartTime,
        IAmAliveTime = AliveTime,
        SuspectTimes = [.. Suspicions.Select(suspicion => Tuple.Create(ParseAddress(suspicion.Address), suspicion.Time))],
    };

    private static SiloAddress ParseAddress(string text)
    {
        int at = text.LastIndexOf('@');
        return at > 0 && IPEndPoint.TryParse(text.AsSpan(0, at), out IPEndPoint? endPoint) && int.TryParse(text.AsSpan(at + 1), out int generation)
            ? SiloAddress.New(endPoint, generation)
            : throw new FormatException($"'{text}' is no silo address.");
    }
}

/// <summary>One vote for a member's death.</summary>
internal sealed record Suspicion(string Address, DateTime Time);
