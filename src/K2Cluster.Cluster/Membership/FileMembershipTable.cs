
namespace K2Cluster.Cluster.Membership;

/// <summary>
/// Orleans' membership table for processes on one machine. None of them is special: any may start or die first. A row names
/// its process, so that whoever reads sees at once which members are gone and declares them dead, without probes.
/// </summary>
internal sealed class FileMembershipTable(MembershipFile file, string siloName, Func<string, bool> isAlive) : IMembershipTable
{
    public FileMembershipTable(ClusterOptions options)
        : this(new MembershipFile(options.StateFolderOrDefault, options.ClusterId), options.SiloName, ProcessIdentity.IsAlive)
    {
    }

    /// <exception cref="ClusterException">The folder or file cannot be used, or a living member has this one's name.</exception>
    public Task InitializeMembershipTable(bool tryInitTableVersion)
    {
        file.Create();
        return file.UpdateAsync(
            rows =>
            {
                bool changed = rows.Bury(isAlive);
                CheckName(rows); // soon, so that the start ends before much of it is done
                return (true, changed);
            },
            CancellationToken.None);
    }

    public Task DeleteMembershipTableEntries(string clusterId) => file.UpdateAsync(
        rows =>
        {
            rows.Clear();
            return (true, true);
        },
        CancellationToken.None);

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => file.UpdateAsync(
        rows =>
        {
            bool changed = rows.Cleanup(beforeDate);
            return (changed, changed);
        },
        CancellationToken.None);

    public async Task<MembershipTableData> ReadRow(SiloAddress key)
    {
        MembershipRows rows = await ReadCurrentAsync().ConfigureAwait(false);
        return rows.ReadRow(key);
    }

    public async Task<MembershipTableData> ReadAll()
    {
        MembershipRows rows = await ReadCurrentAsync().ConfigureAwait(false);
        return rows.ReadAll();
    }

    /// <exception cref="ClusterException">A living member has this one's name.</exception>
    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => WriteAsync(rows =>
    {
        // Under the lock of the write: of two that start at the same moment with one name, both may have passed the first check.
        CheckName(rows);
        return rows.Insert(entry, tableVersion, ProcessIdentity.Current);
    });

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => WriteAsync(rows => rows.Update(entry, etag, tableVersion));

    public Task UpdateIAmAlive(MembershipEntry entry) => WriteAsync(rows => rows.UpdateAliveTime(entry));

    /// <summary>Whether the table has members whose death nobody wrote down yet, or is another than that of <paramref name="version"/>: newer, or begun anew.</summary>
    public bool HasNews(long version)
    {
        MembershipRows rows = file.Read();
        return rows.Version != version || HasGone(rows);
    }

    private void CheckName(MembershipRows rows)
    {
        if (rows.Rows.Find(row => !row.IsDead && row.SiloName == siloName && row.Process != ProcessIdentity.Current && isAlive(row.Process)) is { } namesake)
            throw new ClusterException($"A member with the name {siloName} is alive already (process {namesake.Process.Split(' ')[0]}): give this one another --silo-name, or stop that one.");
    }

    private bool HasGone(MembershipRows rows) => rows.Rows.Exists(row => !row.IsDead && !isAlive(row.Process));

    private async Task<MembershipRows> ReadCurrentAsync()
    {
        MembershipRows rows = file.Read();
        return HasGone(rows)
            ? await file.UpdateAsync(current => (current, current.Bury(isAlive)), CancellationToken.None).ConfigureAwait(false)
            : rows;
    }

    private Task<bool> WriteAsync(Func<MembershipRows, bool> write) => file.UpdateAsync(
        rows =>
        {
            bool changed = write(rows);
            return (changed, changed);
        },
        CancellationToken.None);
}
