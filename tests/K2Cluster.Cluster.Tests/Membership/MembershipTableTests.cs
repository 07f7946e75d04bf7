using System.Net;
using K2Cluster.Cluster.Membership;

namespace K2Cluster.Cluster.Tests.Membership;

/// <summary>Orleans' contract for membership tables, as its own tests state it, for both of ours.</summary>
public sealed class MembershipTableTests : IDisposable
{
    private static int _generation;
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"k2cluster-test-{Guid.NewGuid():N}");

    public static TheoryData<string> Kinds => ["embedded", "file"];

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task An_empty_table_has_version_0_and_an_etag(string kind)
    {
        MembershipTableData data = await (await MakeAsync(kind)).ReadAllAsync(CancellationToken.None);

        Assert.Empty(data.Members);
        Assert.Equal(0, data.Version.Version);
        Assert.NotNull(data.Version.VersionEtag);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Insert_bumps_version_and_etag_and_fails_on_an_old_version_or_a_known_silo(string kind)
    {
        IMembershipTable table = await MakeAsync(kind);
        TableVersion first = (await table.ReadAllAsync(CancellationToken.None)).Version.Next();
        MembershipEntry entry = Entry();

        Assert.True(await table.InsertRowAsync(entry, first, CancellationToken.None));
        Assert.False(await table.InsertRowAsync(entry, first, CancellationToken.None));
        Assert.False(await table.InsertRowAsync(Entry(), first, CancellationToken.None));

        MembershipTableData data = await table.ReadAllAsync(CancellationToken.None);
        Assert.Equal(1, data.Version.Version);
        Assert.NotEqual(first.VersionEtag, data.Version.VersionEtag);
        Assert.False(await table.InsertRowAsync(entry, data.Version.Next(), CancellationToken.None));
        Assert.Single((await table.ReadRowAsync(entry.SiloAddress, CancellationToken.None)).Members);
        Assert.Empty((await table.ReadRowAsync(Entry().SiloAddress, CancellationToken.None)).Members);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Update_needs_the_row_etag_and_the_version_etag_of_the_last_read_and_replaces_the_whole_row(string kind)
    {
        IMembershipTable table = await MakeAsync(kind);
        MembershipEntry entry = Entry();
        Assert.False(await table.UpdateRowAsync(entry, "1", (await table.ReadAllAsync(CancellationToken.None)).Version.Next(), CancellationToken.None));
        await table.InsertRowAsync(entry, (await table.ReadAllAsync(CancellationToken.None)).Version.Next(), CancellationToken.None);
        MembershipTableData read = await table.ReadAllAsync(CancellationToken.None);
        string etag = read.Members[0].Item2;

        entry.Status = SiloStatus.ShuttingDown;
        entry.SuspectTimes = [Tuple.Create(Entry().SiloAddress, DateTime.UtcNow), Tuple.Create(Entry().SiloAddress, DateTime.UtcNow.AddSeconds(1))];
        Assert.False(await table.UpdateRowAsync(entry, "wrong", read.Version.Next(), CancellationToken.None));
        Assert.False(await table.UpdateRowAsync(entry, etag, new TableVersion(9, "wrong"), CancellationToken.None));
        Assert.True(await table.UpdateRowAsync(entry, etag, read.Version.Next(), CancellationToken.None));
        Assert.False(await table.UpdateRowAsync(entry, etag, read.Version.Next(), CancellationToken.None));

        (MembershipEntry stored, string newTag) = (await table.ReadRowAsync(entry.SiloAddress, CancellationToken.None)).Members[0];
        Assert.NotEqual(etag, newTag);
        Assert.Equal(entry.ToFullString(), stored.ToFullString());
        Assert.Equal(entry.SuspectTimes, stored.SuspectTimes);
        Assert.Equal((entry.SiloName, entry.HostName, entry.RoleName, entry.ProxyPort, entry.StartTime, entry.IAmAliveTime), (stored.SiloName, stored.HostName, stored.RoleName, stored.ProxyPort, stored.StartTime, stored.IAmAliveTime));
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task A_sign_of_life_changes_neither_version_nor_etag_nor_anything_else(string kind)
    {
        IMembershipTable table = await MakeAsync(kind);
        MembershipEntry entry = Entry();
        await table.InsertRowAsync(entry, (await table.ReadAllAsync(CancellationToken.None)).Version.Next(), CancellationToken.None);
        MembershipTableData before = await table.ReadAllAsync(CancellationToken.None);

        DateTime later = entry.IAmAliveTime.AddMinutes(1);
        await table.UpdateIAmAliveAsync(new MembershipEntry { SiloAddress = entry.SiloAddress, IAmAliveTime = later, Status = SiloStatus.Dead, SiloName = "other" }, CancellationToken.None);
        await table.UpdateIAmAliveAsync(new MembershipEntry { SiloAddress = Entry().SiloAddress, IAmAliveTime = later }, CancellationToken.None);

        MembershipTableData after = await table.ReadAllAsync(CancellationToken.None);
        Assert.Equal(before.Version.VersionEtag, after.Version.VersionEtag);
        Assert.Equal(before.Members[0].Item2, Assert.Single(after.Members).Item2);
        Assert.Equal((later, SiloStatus.Active, entry.SiloName), (after.Members[0].Item1.IAmAliveTime, after.Members[0].Item1.Status, after.Members[0].Item1.SiloName));
        Assert.True(await table.UpdateRowAsync(entry, before.Members[0].Item2, before.Version.Next(), CancellationToken.None));
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Cleanup_removes_only_the_long_dead(string kind)
    {
        IMembershipTable table = await MakeAsync(kind);
        DateTime now = DateTime.UtcNow;
        foreach ((SiloStatus status, int hours) in new[] { (SiloStatus.Dead, 10), (SiloStatus.Dead, 1), (SiloStatus.Active, 10) })
        {
            MembershipEntry entry = Entry();
            (entry.Status, entry.IAmAliveTime, entry.StartTime) = (status, now.AddHours(-hours), now.AddHours(-hours));
            await table.InsertRowAsync(entry, (await table.ReadAllAsync(CancellationToken.None)).Version.Next(), CancellationToken.None);
        }

        await table.CleanupDefunctSiloEntriesAsync(now.AddHours(-5), CancellationToken.None);

        Assert.Equal([SiloStatus.Active, SiloStatus.Dead], (await table.ReadAllAsync(CancellationToken.None)).Members.Select(member => member.Item1.Status).Order());
        await table.DeleteMembershipTableEntriesAsync("any", CancellationToken.None);
        Assert.Empty((await table.ReadAllAsync(CancellationToken.None)).Members);
    }

    [Theory, MemberData(nameof(Kinds))]
    public async Task Of_writers_that_read_the_same_version_one_wins(string kind)
    {
        IMembershipTable table = await MakeAsync(kind);
        IMembershipTable other = kind == "file" ? await MakeAsync(kind) : table;
        MembershipEntry entry = Entry();
        TableVersion version = (await table.ReadAllAsync(CancellationToken.None)).Version.Next();
        bool[] inserted = await Task.WhenAll(Enumerable.Range(0, 20).Select(i => Task.Run(() => (i % 2 == 0 ? table : other).InsertRowAsync(entry, version, CancellationToken.None))));
        Assert.Single(inserted, won => won);

        await Task.WhenAll(Enumerable.Range(0, 10).Select(i => Task.Run(async () =>
        {
            IMembershipTable mine = i % 2 == 0 ? table : other;
            MembershipTableData read;
            do
                read = await mine.ReadAllAsync(CancellationToken.None);
            while (!await mine.UpdateRowAsync(read.Members[0].Item1, read.Members[0].Item2, read.Version.Next(), CancellationToken.None));
        })));

        Assert.Equal(11, (await table.ReadAllAsync(CancellationToken.None)).Version.Version);
    }

    internal static MembershipEntry Entry(string name = "silo") => new()
    {
        SiloAddress = SiloAddress.New(IPAddress.Loopback, 11111, Interlocked.Increment(ref _generation)),
        Status = SiloStatus.Active,
        SiloName = name,
        HostName = "host",
        RoleName = "role",
        ProxyPort = 5,
        StartTime = DateTime.UtcNow,
        IAmAliveTime = DateTime.UtcNow,
        SuspectTimes = [],
    };

    private async Task<IMembershipTable> MakeAsync(string kind)
    {
        IMembershipTable table = kind == "file" ? new FileMembershipTable(new MembershipFile(_folder, "c"), "me", _ => true) : new EmbeddedMembershipTable();
        await table.InitializeMembershipTableAsync(true, CancellationToken.None);
        return table;
    }
}
