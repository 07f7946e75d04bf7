using System.Diagnostics;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Cluster.Membership;
using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Tests.Membership;
using K2Cluster.Fabric;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit.Abstractions;

namespace K2Cluster.Cluster.Tests.InProcess;

public sealed class LocalhostTests(ITestOutputHelper output) : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"k2cluster-test-{Guid.NewGuid():N}");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_gateway_and_two_silos_find_each_other_in_any_order_and_one_may_leave()
    {
        using IHost gateway = Member("gateway", hostsShards: false);
        using IHost first = Member("first", hostsShards: true);
        using IHost second = Member("second", hostsShards: true);

        long start = Stopwatch.GetTimestamp();
        await gateway.StartAsync();
        IPlanSource plans = gateway.Services.GetRequiredService<IPlanSource>();
        await Eventually.TrueAsync(() => plans.NotReadyReason!.Contains("start one"), "a reason that says what to do");
        await Task.WhenAll(first.StartAsync(), second.StartAsync());
        await Eventually.TrueAsync(() => plans is { NotReadyReason: null, Current.Incomplete: null, Current.Shards.Length: 2 }, "a complete plan over two silos", seconds: 30);
        output.WriteLine($"Gateway, then two silos at once, complete: {Stopwatch.GetElapsedTime(start).TotalSeconds:0.00} s");
        IExperts experts = gateway.Services.GetRequiredService<IExperts>();
        Run(experts);
        output.WriteLine($"Over the fabric to two silos: p50 {MedianRoundTrip(experts):0} µs");
        FabricCounts fabric = gateway.Services.GetRequiredService<FabricPeers>().Counts;
        Assert.True(fabric.Calls > 1000, $"{fabric.Calls} calls went over the fabric.");

        start = Stopwatch.GetTimestamp();
        await second.StopAsync();
        await Eventually.TrueAsync(() => plans is { NotReadyReason: null, Current.Incomplete: null, Current.Shards.Length: 1 }, "a complete plan over one silo");
        output.WriteLine($"One left, complete again: {Stopwatch.GetElapsedTime(start).TotalSeconds:0.00} s");
        Run(experts);

        await first.StopAsync();
        await Eventually.TrueAsync(() => plans.NotReadyReason is not null, "a gateway that is not ready without any silo");
        await gateway.StopAsync();
    }

    [Fact]
    public async Task Gateways_are_no_silos_however_many_there_are()
    {
        using IHost first = Member("first", hostsShards: false);
        using IHost second = Member("second", hostsShards: false);
        await Task.WhenAll(first.StartAsync(), second.StartAsync());
        IClusterMembershipService membership = first.Services.GetRequiredService<IClusterMembershipService>();
        await Eventually.TrueAsync(() => membership.CurrentSnapshot.Members.Values.Count(member => member.Status == SiloStatus.Active) == 2, "two members");

        // The next reason is one that was found with both there.
        PlanBoard board = first.Services.GetRequiredService<PlanBoard>();
        board.SetProblem("not looked yet");
        await Eventually.TrueAsync(() => board.NotReadyReason != "not looked yet", "a new reason");
        Assert.Contains("start one", board.NotReadyReason);
        await Task.WhenAll(first.StopAsync(), second.StopAsync());
    }

    [Fact]
    public async Task A_killed_process_is_known_dead_at_once_without_probes()
    {
        using IHost member = Member("member", hostsShards: true);
        await member.StartAsync();
        using Process other = Process.Start("sleep", "100");
        string identity = $"{other.Id} {(await File.ReadAllTextAsync($"/proc/{other.Id}/stat")).Split(' ')[21]} {ProcessIdentity.Current.Split(' ')[2]}";
        MembershipEntry entry = MembershipTableTests.Entry("other");
        await new MembershipFile(_folder, "local").UpdateAsync(rows => (rows.Insert(entry, rows.ReadAll().Version.Next(), identity), true), CancellationToken.None);
        IClusterMembershipService membership = member.Services.GetRequiredService<IClusterMembershipService>();
        await Eventually.TrueAsync(() => membership.CurrentSnapshot.GetSiloStatus(entry.SiloAddress) == SiloStatus.Active, "the newcomer known");

        long start = Stopwatch.GetTimestamp();
        other.Kill();
        await Eventually.TrueAsync(() => membership.CurrentSnapshot.GetSiloStatus(entry.SiloAddress) == SiloStatus.Dead, "the dead one known");
        output.WriteLine($"Known dead after {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms");
        await member.StopAsync();
    }

    private static void Run(IExperts experts)
    {
        for (int seed = 0; seed < 20; seed++)
        {
            ExpertBatch batch = Batches.Random(HostedMember.Grid, 8, 4, seed);
            experts.Collect(experts.Submit(batch));
            Batches.AssertDone(batch);
        }
    }

    private static double MedianRoundTrip(IExperts experts)
    {
        ExpertBatch batch = new(1, Batches.HiddenSize, 4);
        double[] times = new double[1000];
        for (int i = 0; i < times.Length; i++)
        {
            batch.Reset(1, 1);
            long start = Stopwatch.GetTimestamp();
            experts.Collect(experts.Submit(batch));
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        Array.Sort(times);
        return times[times.Length / 2];
    }

    private IHost Member(string name, bool hostsShards) => HostedMember.Build(
        new ClusterOptions { Mode = ClusterMode.Localhost, ClusterId = "local", SiloName = name, HostsShards = hostsShards, StateFolder = _folder }, gateway: !hostsShards);
}
