using System.Globalization;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// Orleans' contract for a membership table (IMembershipTable), on plain rows: a write succeeds only on the version and the
/// row that its writer has read, and then bumps both etags; signs of life change neither. Not thread-safe: who keeps it, in
/// memory or in a file, locks.
/// </summary>
internal sealed class MembershipRows
{
    /// <summary>Format of the file.</summary>
    public const int CurrentFormat = 1;

    public int Format { get; init; } = CurrentFormat;

    public int Version { get; set; }

    public string VersionETag { get; set; } = "0";

    /// <summary>The last etag given; etags are never reused.</summary>
    public long LastETag { get; set; }

    public List<MembershipRow> Rows { get; init; } = [];

    private TableVersion TableVersion => new(Version, VersionETag);


    public MembershipTableData ReadAll() => new([.. Rows.Select(ToTuple)], TableVersion);

    public MembershipTableData ReadRow(SiloAddress address) =>
        Find(address) is var index and >= 0 ? new MembershipTableData(ToTuple(Rows[index]), TableVersion) : new MembershipTableData(TableVersion);

    public bool Insert(MembershipEntry entry, TableVersion version, string process)
    {
        if (Find(entry.SiloAddress) >= 0 || version.VersionEtag != VersionETag)
            return false;
        Rows.Add(MembershipRow.From(entry, NextETag(), process));
        SetVersion(version.Version);
        return true;
    }

    public bool Update(MembershipEntry entry, string etag, TableVersion version)
    {
        int index = Find(entry.SiloAddress);
        if (index < 0 || Rows[index].ETag != etag || version.VersionEtag != VersionETag)
            return false;
        Rows[index] = MembershipRow.From(entry, NextETag(), Rows[index].Process);
        SetVersion(version.Version);
        return true;
    }

    /// <summary>Whether the member is there.</summary>
    public bool UpdateAliveTime(MembershipEntry entry)
    {
        int index = Find(entry.SiloAddress);
        if (index >= 0)
            Rows[index] = Rows[index] with { AliveTime = entry.IAmAliveTime };
        return index >= 0;
    }

    /// <summary>Removes every member. The version starts over, etags do not.</summary>
    public void Clear()
    {
        Rows.Clear();
        SetVersion(0);
    }

    /// <summary>Removes dead members not heard of since; whether there were any.</summary>
    public bool Cleanup(DateTimeOffset before) =>
        Rows.RemoveAll(row => row.IsDead && Later(row.AliveTime, row.StartTime) < before.UtcDateTime) > 0;

    /// <summary>Declares members dead whose process is gone: a write like any other, so that every reader learns of it by the version.</summary>
    public bool Bury(Func<string, bool> isAlive)
    {
        bool any = false;
        for (int i = 0; i < Rows.Count; i++)
        {
            if (Rows[i].IsDead || isAlive(Rows[i].Process))
                continue;
            Rows[i] = Rows[i] with { Status = nameof(SiloStatus.Dead), ETag = NextETag() };
            any = true;
        }

        if (any)
            SetVersion(Version + 1);
        return any;
    }

    private void SetVersion(int version)
    {
        Version = version;
        VersionETag = NextETag();
    }

    private static DateTime Later(DateTime left, DateTime right) => left > right ? left : right;

    private static Tuple<MembershipEntry, string> ToTuple(MembershipRow row) => Tuple.Create(row.ToEntry(), row.ETag);

    private int Find(SiloAddress address)
    {
        string key = MembershipRow.AddressOf(address);
        return Rows.FindIndex(row => row.Address == key);
    }

    private string NextETag() => (++LastETag).ToString(CultureInfo.InvariantCulture);
}
