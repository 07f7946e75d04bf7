using System.Diagnostics;
using System.Globalization;
using K2Cluster.Cluster.Membership;

namespace K2Cluster.Cluster.Tests.Membership;

/// <summary>What the file adds to the contract: who is gone is dead at once, and nothing is half-written.</summary>
public sealed class FileMembershipTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"k2cluster-test-{Guid.NewGuid():N}");
    private readonly HashSet<string> _gone = [];

    private MembershipFile File => new(_folder, "c");

    public void Dispose()
    {
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task A_reader_declares_members_dead_whose_process_is_gone()
    {
        FileMembershipTable table = Make("a");
        await table.InitializeMembershipTable(true);
        MembershipEntry entry = MembershipTableTests.Entry();
        await table.InsertRow(entry, (await table.ReadAll()).Version.Next());
        MembershipTableData before = await table.ReadAll();
        Assert.False(table.HasNews(before.Version.Version));

        _gone.Add(ProcessIdentity.Current);
        Assert.True(table.HasNews(before.Version.Version));

        MembershipTableData after = await table.ReadAll();
        Assert.Equal(SiloStatus.Dead, after.Members[0].Item1.Status);
        Assert.Equal(before.Version.Version + 1, after.Version.Version);
        Assert.NotEqual(before.Members[0].Item2, after.Members[0].Item2);
        Assert.False(table.HasNews(after.Version.Version));
        Assert.Equal(after.Version.Version, (await table.ReadAll()).Version.Version);
    }

    [Fact]
    public async Task A_cluster_whose_every_process_is_gone_starts_again_under_the_same_names()
    {
        await Make("a").InitializeMembershipTable(true);
        await WriteRowOfAsync("4194303 1 nowhere");

        FileMembershipTable table = new(File, "silo", ProcessIdentity.IsAlive);
        await table.InitializeMembershipTable(true);

        Assert.Equal(SiloStatus.Dead, Assert.Single((await table.ReadAll()).Members).Item1.Status);
    }

    [Fact]
    public async Task A_living_member_of_the_same_name_is_an_error_that_names_it()
    {
        await Make("a").InitializeMembershipTable(true);
        await WriteRowOfAsync("77 1 here");

        ClusterException error = await Assert.ThrowsAsync<ClusterException>(() => Make("silo").InitializeMembershipTable(true));

        Assert.Contains("name silo is alive already (process 77)", error.Message);
        await Make("other").InitializeMembershipTable(true);
    }

    [Fact]
    public async Task Of_two_that_start_together_under_one_name_the_second_to_write_is_refused()
    {
        FileMembershipTable table = Make("silo");
        await table.InitializeMembershipTable(true);
        await WriteRowOfAsync("77 1 here");
        TableVersion version = (await table.ReadAll()).Version.Next();

        ClusterException error = await Assert.ThrowsAsync<ClusterException>(() => table.InsertRow(MembershipTableTests.Entry("silo"), version));

        Assert.Contains("name silo is alive already (process 77)", error.Message);
        _gone.Add("77 1 here");
        Assert.True(await table.InsertRow(MembershipTableTests.Entry("silo"), (await table.ReadAll()).Version.Next()));
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"format\":2,\"rows\":[]}")]
    [InlineData("{\"rows\":[null]}")]
    [InlineData("{\"rows\":null}")]
    [InlineData("{\"rows\":[{\"address\":\"x\",\"eTag\":\"1\",\"status\":\"Active\",\"siloName\":\"\",\"hostName\":\"\",\"roleName\":\"\",\"proxyPort\":0,\"startTime\":\"2026-01-01\",\"aliveTime\":\"2026-01-01\",\"suspicions\":[],\"process\":\"\"}]}")]
    public async Task Garbage_is_an_error_that_names_the_file_and_what_to_do(string content)
    {
        FileMembershipTable table = Make("a");
        await table.InitializeMembershipTable(true);
        await System.IO.File.WriteAllTextAsync(File.Path, content);

        ClusterException error = await Assert.ThrowsAsync<ClusterException>(table.ReadAll);

        Assert.Contains(File.Path, error.Message);
        Assert.Contains("delete the file", error.Message);
    }

    [Fact]
    public async Task A_folder_that_others_can_enter_is_refused()
    {
        if (OperatingSystem.IsWindows())
            return; // there, a user's temporary folder is private by inheritance
        Directory.CreateDirectory(_folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherExecute);

        ClusterException error = await Assert.ThrowsAsync<ClusterException>(() => Make("a").InitializeMembershipTable(true));

        Assert.Contains("chmod 700", error.Message);
    }

    [Fact]
    public async Task Readers_without_a_lock_never_see_a_half_written_table()
    {
        FileMembershipTable table = Make("a");
        await table.InitializeMembershipTable(true);
        using CancellationTokenSource stop = new();
        Task<int> reading = Task.Run(async () =>
        {
            int last = 0;
            while (!stop.IsCancellationRequested)
            {
                MembershipTableData data = await Make("b").ReadAll();
                Assert.Equal(data.Version.Version, data.Members.Count);
                Assert.True(data.Version.Version >= last);
                last = data.Version.Version;
            }

            return last;
        });

        for (int i = 0; i < 100; i++)
            Assert.True(await table.InsertRow(MembershipTableTests.Entry(), (await table.ReadAll()).Version.Next()));
        await stop.CancelAsync();
        Assert.InRange(await reading, 0, 100);
    }

    [Fact]
    public async Task A_killed_process_is_gone_although_nobody_has_reaped_it()
    {
        using Process process = Process.Start("sleep", "100");
        string[] stat = (await System.IO.File.ReadAllTextAsync($"/proc/{process.Id}/stat")).Split(' ');
        string identity = $"{process.Id} {stat[21]} {ProcessIdentity.Current.Split(' ')[2]}";
        Assert.True(ProcessIdentity.IsAlive(identity));
        Assert.False(ProcessIdentity.IsAlive($"{process.Id} {long.Parse(stat[21], CultureInfo.InvariantCulture) - 1} {ProcessIdentity.Current.Split(' ')[2]}"));

        process.Kill();
        await process.WaitForExitAsync();

        Assert.False(ProcessIdentity.IsAlive(identity));
        Assert.True(ProcessIdentity.IsAlive(ProcessIdentity.Current));
        Assert.False(ProcessIdentity.IsAlive("garbage"));
    }

    private FileMembershipTable Make(string name) => new(File, name, process => !_gone.Contains(process));

    private Task<bool> WriteRowOfAsync(string process) => File.UpdateAsync(
        rows => (rows.Insert(MembershipTableTests.Entry("silo"), rows.ReadAll().Version.Next(), process), true), CancellationToken.None);
}
