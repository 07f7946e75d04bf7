using System.Net;
using K2Cluster.Cluster.Membership;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Time.Testing;
using Orleans.Clustering.Redis;
using Orleans.Configuration;

namespace K2Cluster.Cluster.Tests.Membership;

public class CheckedMembershipTableTests
{
    private static readonly MemberStamp Stamp = new(1, []);

    private readonly EmbeddedMembershipTable _provider = new();
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);
    private readonly Ends _ends = new();
    private readonly MembershipEntry _self = MembershipTableTests.Entry("self");

    [Fact]
    public async Task A_member_joins_beside_those_that_fit_and_its_row_says_what_it_is()
    {
        await InsertAsync(MembershipTableTests.Entry("other"), Stamp);
        CheckedMembershipTable table = Table();

        await table.InitializeMembershipTableAsync(true, CancellationToken.None);
        await JoinAsync(table);

        MembershipTableData data = await table.ReadAllAsync(CancellationToken.None);
        Assert.Equal(2, data.Members.Count);
        Assert.Equal(Stamp.ToString(), data.TryGet(_self.SiloAddress)!.Item1.RoleName);
        Assert.Empty(_ends.Reasons);
    }

    [Fact]
    public async Task A_member_of_another_version_does_not_start_until_those_there_are_gone()
    {
        MembershipEntry other = MembershipTableTests.Entry("other");
        (other.StartTime, other.IAmAliveTime) = (_time.GetUtcNow().UtcDateTime, _time.GetUtcNow().UtcDateTime);
        await InsertAsync(other, Stamp with { Version = 2 });

        ClusterException refusal = await Assert.ThrowsAsync<ClusterException>(() => Table().InitializeMembershipTableAsync(true, CancellationToken.None));
        Assert.Contains("speaks version 1 of the cluster's protocol, other version 2", refusal.Message);

        // Killed, with nobody left to say so.
        _time.Advance(TimeSpan.FromMinutes(2));
        await Table().InitializeMembershipTableAsync(true, CancellationToken.None);
    }

    [Fact]
    public async Task The_dead_are_not_asked()
    {
        MembershipEntry dead = MembershipTableTests.Entry("dead");
        dead.Status = SiloStatus.Dead;
        await InsertAsync(dead, Stamp with { Version = 2 });

        await Table().InitializeMembershipTableAsync(true, CancellationToken.None);
    }

    [Fact]
    public async Task A_member_whose_name_another_has_does_not_start_once_that_one_says_that_it_runs()
    {
        MembershipEntry running = await InsertNamesakeAsync(SiloStatus.Active);

        ClusterException refusal = await Assert.ThrowsAsync<ClusterException>(() => InitializeAsync(Table(), async () =>
        {
            running.IAmAliveTime = _time.GetUtcNow().UtcDateTime;
            await _provider.UpdateIAmAlive(running);
        }));
        Assert.Equal($"A silo named self runs already ({running.SiloAddress.Endpoint}): give this one another --silo-name, or stop that one.", refusal.Message);
    }

    [Fact]
    public async Task A_member_starts_in_place_of_one_of_its_name_that_was_killed()
    {
        MembershipEntry killed = await InsertNamesakeAsync(SiloStatus.Active);
        CheckedMembershipTable table = Table();

        Task start = table.InitializeMembershipTableAsync(true, CancellationToken.None);
        Assert.False(start.IsCompleted);
        await InitializeAsync(start, () => Task.CompletedTask);
        Assert.NotNull((await table.ReadAllAsync(CancellationToken.None)).TryGet(killed.SiloAddress)); // still: nobody is there to declare it dead
        await JoinAsync(table);
        Assert.Empty(_ends.Reasons);
    }

    [Fact]
    public async Task One_of_the_name_that_had_this_member_s_address_is_gone()
    {
        MembershipEntry before = MembershipTableTests.Entry("self");
        (before.StartTime, before.IAmAliveTime) = (_time.GetUtcNow().UtcDateTime, _time.GetUtcNow().UtcDateTime);
        await InsertAsync(before, Stamp);
        await Table().InitializeMembershipTableAsync(true, CancellationToken.None);
    }

    [Theory]
    [InlineData(SiloStatus.ShuttingDown)]
    [InlineData(SiloStatus.Stopping)]
    [InlineData(SiloStatus.Dead)]
    public async Task One_of_the_name_that_leaves_or_is_dead_is_not_waited_for(SiloStatus status)
    {
        await InsertNamesakeAsync(status);
        await Table().InitializeMembershipTableAsync(true, CancellationToken.None);
    }

    [Fact]
    public async Task Of_two_that_start_under_one_name_the_second_ends()
    {
        CheckedMembershipTable table = Table();
        await table.InitializeMembershipTableAsync(true, CancellationToken.None);
        await InsertNamesakeAsync(SiloStatus.Joining);

        await table.ReadAllAsync(CancellationToken.None);
        Assert.Contains("A silo named self runs already", Assert.IsType<ClusterException>(Assert.Single(_ends.Reasons)).Message);
    }

    [Fact]
    public async Task One_that_does_not_fit_and_joined_first_ends_this_process_which_writes_nothing()
    {
        CheckedMembershipTable table = Table();
        await table.InitializeMembershipTableAsync(true, CancellationToken.None);
        await InsertAsync(MembershipTableTests.Entry("first"), Stamp with { Version = 2 });

        MembershipTableData shown = await table.ReadAllAsync(CancellationToken.None);
        Assert.Equal(SiloStatus.Dead, Assert.Single(shown.Members).Item1.Status);
        Assert.Contains("cannot join the cluster", Assert.IsType<ClusterException>(Assert.Single(_ends.Reasons)).Message);
        Assert.True(await table.InsertRowAsync(_self, shown.Version.Next(), CancellationToken.None));
        Assert.Equal("first", Assert.Single((await _provider.ReadAll()).Members).Item1.SiloName);
    }

    [Fact]
    public async Task A_table_without_this_member_s_row_ends_the_process_once_and_takes_no_more_from_it()
    {
        CheckedMembershipTable table = Table();
        await JoinAsync(table);
        await InsertAsync(MembershipTableTests.Entry("other"), Stamp);
        MembershipTableData before = await table.ReadAllAsync(CancellationToken.None);
        await _provider.DeleteMembershipTableEntries("any");

        MembershipTableData shown = await table.ReadAllAsync(CancellationToken.None);
        Assert.Equal(2, shown.Members.Count);
        Assert.Equal(SiloStatus.Dead, shown.TryGet(_self.SiloAddress)!.Item1.Status);
        Assert.True(shown.Version.Version > before.Version.Version); // Orleans looks at nothing older
        Assert.Same(shown, await table.ReadAllAsync(CancellationToken.None));
        Assert.True(await table.UpdateRowAsync(_self, "", shown.Version.Next(), CancellationToken.None));
        await table.UpdateIAmAliveAsync(_self, CancellationToken.None);
        Assert.Empty((await _provider.ReadAll()).Members);
        Assert.Contains("start them again", Assert.IsType<ClusterException>(Assert.Single(_ends.Reasons)).Message);
    }

    [Fact]
    public async Task A_table_that_cannot_be_read_ends_nothing()
    {
        ReadFails provider = new(_provider);
        CheckedMembershipTable table = Table(provider);
        await JoinAsync(table);

        provider.Failure = new TimeoutException();
        await Assert.ThrowsAsync<TimeoutException>(() => table.ReadAllAsync(CancellationToken.None));
        Assert.Empty(_ends.Reasons);

        provider.Failure = null;
        Assert.Single((await table.ReadAllAsync(CancellationToken.None)).Members);
        provider.Failure = new RedisClusteringException("The version is missing."); // Redis says that it has no table
        await table.ReadAllAsync(CancellationToken.None);
        Assert.Single(_ends.Reasons);
    }

    [Fact]
    public async Task A_read_that_began_before_the_row_was_written_is_no_loss()
    {
        ReadFails provider = new(_provider);
        CheckedMembershipTable table = Table(provider);
        provider.Hold = new TaskCompletionSource();
        Task<MembershipTableData> read = table.ReadAllAsync(CancellationToken.None);
        await JoinAsync(table);

        provider.Hold.SetResult();
        Assert.Empty((await read).Members);
        Assert.Empty(_ends.Reasons);
    }

    private CheckedMembershipTable Table(IMembershipTable? provider = null) =>
        new(provider ?? _provider, Stamp, new Self(_self.SiloAddress), Options.Create(new ClusterMembershipOptions()), _ends, _time, NullLogger<CheckedMembershipTable>.Instance);

    private Task InitializeAsync(CheckedMembershipTable table, Func<Task> eachSecond) =>
        InitializeAsync(table.InitializeMembershipTableAsync(true, CancellationToken.None), eachSecond);

    private async Task InitializeAsync(Task start, Func<Task> eachSecond)
    {
        while (!start.IsCompleted)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            await eachSecond();
            await Task.Yield();
        }

        await start;
    }

    private async Task<MembershipEntry> InsertNamesakeAsync(SiloStatus status)
    {
        MembershipEntry namesake = MembershipTableTests.Entry("self");
        namesake.SiloAddress = SiloAddress.New(IPAddress.Loopback, _self.SiloAddress.Endpoint.Port + 1, 1);
        (namesake.Status, namesake.StartTime, namesake.IAmAliveTime) = (status, _time.GetUtcNow().UtcDateTime, _time.GetUtcNow().UtcDateTime);
        await InsertAsync(namesake, Stamp);
        return namesake;
    }

    private async Task JoinAsync(CheckedMembershipTable table) =>
        Assert.True(await table.InsertRowAsync(_self, (await _provider.ReadAll()).Version.Next(), CancellationToken.None));

    private async Task InsertAsync(MembershipEntry entry, MemberStamp stamp)
    {
        entry.RoleName = stamp.ToString();
        Assert.True(await _provider.InsertRow(entry, (await _provider.ReadAll()).Version.Next()));
    }

    private sealed class Self(SiloAddress address) : ILocalSiloDetails
    {
        public string Name => "self";

        public string ClusterId => "cluster";

        public string DnsHostName => "host";

        public SiloAddress SiloAddress => address;

        public SiloAddress GatewayAddress => address;
    }

    /// <summary>A provider whose reads fail, or return late what they read at once.</summary>
    private sealed class ReadFails(IMembershipTable table) : IMembershipTable
    {
        public Exception? Failure { get; set; }

        public TaskCompletionSource? Hold { get; set; }

        public async Task<MembershipTableData> ReadAll()
        {
            MembershipTableData data = await table.ReadAllAsync(CancellationToken.None);
            await (Hold?.Task ?? Task.CompletedTask);
            return Failure is null ? data : throw Failure;
        }

        public Task InitializeMembershipTable(bool tryInitTableVersion) => Task.CompletedTask;

        public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => table.InsertRowAsync(entry, tableVersion, CancellationToken.None);

        public Task DeleteMembershipTableEntries(string clusterId) => throw new NotSupportedException();

        public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => throw new NotSupportedException();

        public Task<MembershipTableData> ReadRow(SiloAddress key) => throw new NotSupportedException();

        public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => throw new NotSupportedException();

        public Task UpdateIAmAlive(MembershipEntry entry) => throw new NotSupportedException();
    }
}
