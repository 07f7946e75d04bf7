using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using K2Cluster.Cluster.Plans;
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
}
