using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using K2Cluster.Cluster.Membership;
using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Plans.Stores;
using K2Cluster.Cluster.Tests.Membership;
using K2Cluster.Contracts;
using K2Cluster.Contracts.Operators;
using K2Cluster.Grains.Placement;
using K2Cluster.Kernels.Experts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Xunit.Abstractions;

namespace K2Cluster.Cluster.Tests.InProcess;

public class EmbeddedTests(ITestOutputHelper output)
{
    private static ClusterOptions Options => new() { Mode = ClusterMode.Embedded, ClusterId = "embedded", SiloName = "one", HostsShards = true };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_cluster_of_one_starts_serves_and_stops(bool sharesThreads)
    {
        long start = Stopwatch.GetTimestamp();
        using IHost host = HostedMember.Build(Options, gateway: true, sharesThreads: sharesThreads);
        await host.StartAsync();
        TimeSpan started = Stopwatch.GetElapsedTime(start);
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        await host.Services.GetRequiredService<IPlanSource>().WaitForCompleteAsync(limit.Token);
        output.WriteLine($"Started {started.TotalMilliseconds:0} ms, plan complete {Stopwatch.GetElapsedTime(start).TotalMilliseconds:0} ms");

        IExperts experts = host.Services.GetRequiredService<IExperts>();
        Assert.Equal(sharesThreads, experts.ComputesOnCollect);
        List<double> times = [];
        ExpertBatch one = new(1, Batches.HiddenSize, 4);
        for (int i = 0; i < 2000; i++)
        {
            one.Reset(1, 1);
            long sent = Stopwatch.GetTimestamp();
            experts.Collect(experts.Submit(one));
            times.Add(Stopwatch.GetElapsedTime(sent).TotalMicroseconds);
        }

        times.Sort();
        output.WriteLine($"In process: p50 {times[1000]:0} µs, p99 {times[1980]:0} µs");
        for (int seed = 0; seed < 20; seed++)
        {
            ExpertBatch batch = Batches.Random(HostedMember.Grid, 8, 4, seed);
            experts.Collect(experts.Submit(batch));
            Batches.AssertDone(batch);
        }

        long stop = Stopwatch.GetTimestamp();
        await host.StopAsync();
        output.WriteLine($"Stopped in {Stopwatch.GetElapsedTime(stop).TotalMilliseconds:0} ms");
    }

    [Fact]
    public async Task Too_little_memory_is_said_in_readiness()
    {
        using IHost host = HostedMember.Build(Options, gateway: true, capacity: 30);
        await host.StartAsync();
        IPlanSource plans = host.Services.GetRequiredService<IPlanSource>();

        await Eventually.TrueAsync(() => plans.NotReadyReason?.StartsWith("6 of 36 experts are on no shard", StringComparison.Ordinal) == true, "a reason with the number missing");
        Assert.Contains("6 find no room on a working shard, 6 bytes are missing", plans.NotReadyReason);
        await host.StopAsync();
    }

    [Fact]
    public async Task A_placement_starts_above_the_epoch_that_was_kept_and_keeps_its_own()
    {
        long ahead = DateTimeOffset.UtcNow.AddDays(1).ToUnixTimeMilliseconds();
        MemoryPlanStore store = new();
        await store.WriteAsync(new PlanRecord { Generation = ahead, Wishes = PlacementWishes.None }.ToBytes(), CancellationToken.None);
        using IHost host = HostedMember.Build(Options, gateway: true, configure: builder => builder.Services.AddSingleton<IPlanStore>(store));
        await host.StartAsync();
        IPlanSource plans = host.Services.GetRequiredService<IPlanSource>();
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        await plans.WaitForCompleteAsync(limit.Token);

        Assert.Equal(ahead + 1, plans.Current!.Epoch.Generation);
        Assert.Equal(ahead + 1, PlanRecord.Parse(await store.ReadAsync(limit.Token), DateTimeOffset.UtcNow).Generation);
        await host.StopAsync();
    }

    [Fact]
    public async Task What_an_operator_wishes_outlives_all_processes()
    {
        MemoryPlanStore store = new();
        PlacementChange replicas = new() { Kind = PlacementChangeKind.Copies, Layer = 1, Expert = 2, Copies = 3 };
        Assert.False((await RunAsync(grain => grain.ChangeAsync([replicas], whatIf: false))).Notes.IsEmpty); // one shard only

        Assert.Equal("with 3 replicas", (await RunAsync(grain => grain.ExplainAsync(1, 2))).Wish);
        Assert.True((await RunAsync(grain => grain.GetStatusAsync())).Wishes.IsKept);

        async Task<T> RunAsync<T>(Func<IPlacementGrain, ValueTask<T>> use)
        {
            using IHost host = HostedMember.Build(Options, gateway: true, configure: builder => builder.Services.AddSingleton<IPlanStore>(store));
            await host.StartAsync();
            using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
            await host.Services.GetRequiredService<IPlanSource>().WaitForCompleteAsync(limit.Token);
            T result = await use(host.Services.GetRequiredService<IGrainFactory>().GetGrain<IPlacementGrain>(Options.ClusterId));
            await host.StopAsync();
            return result;
        }
    }

    [Fact]
    public async Task A_start_that_meets_one_that_does_not_fit_ends_and_writes_nothing()
    {
        Ends ends = new();
        EmbeddedMembershipTable table = new();
        MembershipEntry other = MembershipTableTests.Entry("other");
        using IHost host = HostedMember.Build(Options, gateway: false, configure: builder =>
        {
            builder.Services.AddSingleton<IFatalErrorHandler>(ends);
            builder.Services.AddSingleton<IMembershipTable>(services =>
                ActivatorUtilities.CreateInstance<CheckedMembershipTable>(services, new JoinedBetween(table, other), new MemberStamp(1, [])));
        });

        await host.StartAsync();
        await host.StopAsync();

        Assert.Contains("cannot join the cluster", Assert.IsType<ClusterException>(ends.Reasons.First()).Message);
        Assert.Equal("other", Assert.Single((await table.ReadAll()).Members).Item1.SiloName);
    }

    [Fact]
    public void A_port_is_reserved_until_somebody_listens_on_it()
    {
        PortReservation[] reservations = [.. Enumerable.Range(0, 50).Select(_ => PortReservation.Take(new IPEndPoint(IPAddress.Loopback, 0)))];
        Assert.Equal(50, reservations.Select(reservation => reservation.Port).Distinct().Count());

        using Socket listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, reservations[0].Port));
        listener.Listen();
        foreach (PortReservation reservation in reservations)
            reservation.Dispose();

        using Socket client = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        client.Connect(new IPEndPoint(IPAddress.Loopback, reservations[0].Port));
        Assert.Throws<ClusterException>(() => PortReservation.Take(new IPEndPoint(IPAddress.Loopback, reservations[0].Port)));
    }

    [Theory]
    [InlineData("a/b", "one")]
    [InlineData("a", "")]
    [InlineData("..", "one")]
    [InlineData("a", "tab\t")]
    public void Names_that_are_no_file_names_are_refused(string clusterId, string siloName) =>
        Assert.Throws<ClusterException>(() => Host.CreateEmptyApplicationBuilder(new()).AddK2Cluster(Options with { ClusterId = clusterId, SiloName = siloName }));

    [Fact]
    public void An_address_of_another_machine_is_refused() =>
        Assert.Contains("192.0.2.1", Assert.Throws<ClusterException>(() => Host.CreateEmptyApplicationBuilder(new()).AddK2Cluster(Options with { Listen = new(IPAddress.Parse("192.0.2.1"), 0) })).Message);

    /// <summary>A table in which another member joins just after this one has looked.</summary>
    private sealed class JoinedBetween(EmbeddedMembershipTable table, MembershipEntry other) : IMembershipTable
    {
        private int _reads;

        public async Task<MembershipTableData> ReadAll()
        {
            if (Interlocked.Increment(ref _reads) == 2)
                await table.InsertRow(other, (await table.ReadAll()).Version.Next());
            return await table.ReadAll();
        }

        public Task InitializeMembershipTable(bool tryInitTableVersion) => Task.CompletedTask;

        public Task DeleteMembershipTableEntries(string clusterId) => table.DeleteMembershipTableEntries(clusterId);

        public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => table.CleanupDefunctSiloEntries(beforeDate);

        public Task<MembershipTableData> ReadRow(SiloAddress key) => table.ReadRow(key);

        public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => table.InsertRow(entry, tableVersion);

        public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => table.UpdateRow(entry, etag, tableVersion);

        public Task UpdateIAmAlive(MembershipEntry entry) => table.UpdateIAmAlive(entry);
    }
}
