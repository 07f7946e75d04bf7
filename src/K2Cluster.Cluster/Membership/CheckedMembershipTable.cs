using System.Net;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Orleans.Clustering.Redis;
using Orleans.Configuration;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// Stands before a provider's table. A process that does not fit the members there does not join them
/// (<see cref="MemberStamp"/>, <see cref="Namesakes"/>), and one whose row is gone, as when Redis came back empty, leaves: its
/// members would know each other on and no newcomer. A table that cannot be read is neither: then everything stays as it is.
/// </summary>
internal sealed partial class CheckedMembershipTable(IMembershipTable table, MemberStamp stamp, ILocalSiloDetails self, IOptions<ClusterMembershipOptions> options, IFatalErrorHandler fatal, TimeProvider time, ILogger<CheckedMembershipTable> log) : IMembershipTable
{
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(500);

    private readonly TimeSpan _patience = PatienceOf(options.Value);
    private readonly Namesakes _namesakes = new(self.Name, self.SiloAddress, PatienceOf(options.Value), time);
    private volatile MembershipTableData? _last;
    private volatile MembershipTableData? _end;
    private volatile bool _joined;

    /// <exception cref="ClusterException">This process cannot be a member beside those there.</exception>
    public async Task InitializeMembershipTableAsync(bool tryInitTableVersion, CancellationToken cancellationToken)
    {
        await table.InitializeMembershipTableAsync(tryInitTableVersion, cancellationToken).ConfigureAwait(false);
        for (bool waits = false; ; waits = true)
        {
            MembershipTableData data = await table.ReadAllAsync(cancellationToken).ConfigureAwait(false);
            (MembershipEntry? running, MembershipEntry? doubtful) = _namesakes.Look(data);
            if ((Conflict(data) ?? Refusal(running)) is { } conflict)
                throw conflict;
            if (doubtful is null)
                return;
            if (!waits)
                LogNamesake(log, self.Name, doubtful.SiloAddress.Endpoint, _patience.TotalSeconds);
            await Task.Delay(LookInterval, time, cancellationToken).ConfigureAwait(false);
        }
    }

    public async Task<MembershipTableData> ReadAllAsync(CancellationToken cancellationToken)
    {
        if (_end is { } end)
            return end;
        bool joined = _joined; // before the read: a row inserted meanwhile may not be in it
        MembershipTableData data;
        try
        {
            data = await table.ReadAllAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (RedisClusteringException)
        {
            return Lost(); // Redis answers, and has no table: its version is there as long as the table is
        }

        if (data.TryGet(self.SiloAddress) is not null)
            _joined = true;
        else if (joined)
            return Lost();
        else if ((Conflict(data) ?? Refusal(_namesakes.Look(data).Running)) is { } conflict)
            return End(conflict, []); // they joined since we looked first
        _last = data;
        return data;
    }

    public async Task<bool> InsertRowAsync(MembershipEntry entry, TableVersion tableVersion, CancellationToken cancellationToken)
    {
        if (_end is not null)
            return true;
        entry.RoleName = stamp.ToString();
        bool inserted = await table.InsertRowAsync(entry, tableVersion, cancellationToken).ConfigureAwait(false);
        _joined |= inserted;
        return inserted;
    }

    public Task<bool> UpdateRowAsync(MembershipEntry entry, string etag, TableVersion tableVersion, CancellationToken cancellationToken) =>
        _end is null ? table.UpdateRowAsync(entry, etag, tableVersion, cancellationToken) : Task.FromResult(true);

    public Task UpdateIAmAliveAsync(MembershipEntry entry, CancellationToken cancellationToken) =>
        _end is null ? table.UpdateIAmAliveAsync(entry, cancellationToken) : Task.CompletedTask;

    public Task CleanupDefunctSiloEntriesAsync(DateTimeOffset beforeDate, CancellationToken cancellationToken) =>
        _end is null ? table.CleanupDefunctSiloEntriesAsync(beforeDate, cancellationToken) : Task.CompletedTask;

    public Task<MembershipTableData> ReadRowAsync(SiloAddress key, CancellationToken cancellationToken) => table.ReadRowAsync(key, cancellationToken);

    public Task DeleteMembershipTableEntriesAsync(string clusterId, CancellationToken cancellationToken) => table.DeleteMembershipTableEntriesAsync(clusterId, cancellationToken);

    public Task InitializeMembershipTable(bool tryInitTableVersion) => InitializeMembershipTableAsync(tryInitTableVersion, CancellationToken.None);

    public Task<MembershipTableData> ReadAll() => ReadAllAsync(CancellationToken.None);

    public Task<MembershipTableData> ReadRow(SiloAddress key) => ReadRowAsync(key, CancellationToken.None);

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => InsertRowAsync(entry, tableVersion, CancellationToken.None);

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => UpdateRowAsync(entry, etag, tableVersion, CancellationToken.None);

    public Task UpdateIAmAlive(MembershipEntry entry) => UpdateIAmAliveAsync(entry, CancellationToken.None);

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => CleanupDefunctSiloEntriesAsync(beforeDate, CancellationToken.None);

    public Task DeleteMembershipTableEntries(string clusterId) => DeleteMembershipTableEntriesAsync(clusterId, CancellationToken.None);

    private ClusterException? Conflict(MembershipTableData data)
    {
        // Rows of processes that were killed, and whose death nobody was left to write down, stay for a while.
        foreach ((MembershipEntry member, _) in data.Members)
        {
            bool lives = member.Status != SiloStatus.Dead && Namesakes.SpokeWithin(member, _patience, time);
            if (lives && stamp.Conflict(member.SiloName, MemberStamp.TryParse(member.RoleName)) is { } conflict)
                return new ClusterException($"This process cannot join the cluster: {conflict}. (A member that is gone is forgotten after {_patience.TotalSeconds:0} s; another cluster has another --cluster-id.)");
        }

        return null;
    }

    private ClusterException? Refusal(MembershipEntry? namesake) =>
        namesake is null ? null : new ClusterException($"A silo named {self.Name} runs already ({namesake.SiloAddress.Endpoint}): give this one another --silo-name, or stop that one.");

    private static TimeSpan PatienceOf(ClusterMembershipOptions options) => options.IAmAliveTablePublishTimeout * options.NumMissedTableIAmAliveLimit;

    private MembershipTableData Lost() => End(
        new ClusterException("The table of the cluster's members is gone, or this process's row in it, as when Redis started anew with nothing or the table's file was deleted. Every process of the cluster leaves then: start them again. (Redis that keeps its data on disk avoids this.)"),
        _last?.Members ?? []);

    /// <summary>
    /// Ends the process in order. Orleans is shown this member as dead from now on: then it waits for no table on its way out,
    /// and writes into none.
    /// </summary>
    private MembershipTableData End(ClusterException reason, IEnumerable<Tuple<MembershipEntry, string>> members)
    {
        DateTime now = time.GetUtcNow().UtcDateTime;
        MembershipEntry dead = new() { SiloAddress = self.SiloAddress, SiloName = self.Name, HostName = self.DnsHostName, RoleName = stamp.ToString(), Status = SiloStatus.Dead, SuspectTimes = [], StartTime = now, IAmAliveTime = now };
        MembershipTableData end = new(
            [.. members.Where(member => !member.Item1.SiloAddress.Equals(self.SiloAddress)), Tuple.Create(dead, "")],
            new TableVersion((_last?.Version.Version ?? 0) + 1, ""));
        if (Interlocked.CompareExchange(ref _end, end, null) is { } first)
            return first;
        fatal.OnFatalException(this, nameof(CheckedMembershipTable), reason);
        return end;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "The members have one named {Name} ({Address}), which runs or was killed a moment ago: waiting until that is known, {Seconds} s at most")]
    private static partial void LogNamesake(ILogger logger, string name, IPEndPoint address, double seconds);
}
