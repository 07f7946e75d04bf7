using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using K2Cluster.Cluster.Operators;
using K2Cluster.Cluster.Plans;
using K2Cluster.Cluster.Tests.InProcess;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Cluster.Tests.Security;

/// <summary>Members over real sockets with TLS, and who else comes to their ports.</summary>
public sealed class TlsClusterTests : IDisposable
{
    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"k2cluster-test-{Guid.NewGuid():N}");
    private readonly TestAuthority _authority = new();
    private readonly LogLines _log = new();

    public void Dispose()
    {
        _authority.Dispose();
        if (Directory.Exists(_folder))
            Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Members_serve_over_TLS_and_refuse_whoever_has_no_certificate_of_their_authority()
    {
        using IHost silo = Member("silo", hostsShards: true);
        using IHost gateway = Member("gateway", hostsShards: false);
        await Task.WhenAll(silo.StartAsync(), gateway.StartAsync());
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(30));
        await gateway.Services.GetRequiredService<IPlanSource>().WaitForCompleteAsync(limit.Token);
        IPEndPoint port = silo.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.Endpoint;

        await AssertRefusedInPlainTextAsync(port);
        await AssertSaidAsync("A connection from 127.0.0.1", "does not speak TLS");
        using TestAuthority other = new("CN=other");
        await AssertRefusedAsync(port, other.Sign("stranger"));
        await AssertSaidAsync("A connection from 127.0.0.1", "CN=stranger is not of an authority in --tls-ca");
        await AssertRefusedAsync(port, _authority.Sign("late", daysLeft: -1));
        await AssertSaidAsync("A connection from 127.0.0.1", "CN=late or its authority is not valid now");

        // An operator's tool comes to another port of the silo, and is let in by the same rule.
        IPEndPoint operators = silo.Services.GetRequiredService<ILocalSiloDetails>().GatewayAddress.Endpoint;
        await AssertRefusedInPlainTextAsync(operators);
        await AssertRefusedAsync(operators, other.Sign("stranger"));
        await using (PlacementClient tool = await PlacementClient.ConnectAsync(Options("tool", hostsShards: false), CancellationToken.None))
            Assert.Equal("silo", Assert.Single((await tool.Grain.GetStatusAsync()).Shards).Shard.Id.Silo);
        ClusterException without = await Assert.ThrowsAsync<ClusterException>(() => PlacementClient.ConnectAsync(Options("tool", hostsShards: false, tls: false), CancellationToken.None));
        Assert.Contains("has TLS, this process has none", without.Message);

        // A member without TLS ends at its start; that the others go on is what follows.
        using IHost plain = Member("plain", hostsShards: true, tls: false);
        Exception refusal = await Assert.ThrowsAnyAsync<Exception>(() => plain.StartAsync());
        Assert.Contains("has TLS, this process has none", refusal.GetBaseException().Message);

        IExperts experts = gateway.Services.GetRequiredService<IExperts>();
        for (int seed = 0; seed < 20; seed++)
        {
            ExpertBatch batch = Batches.Random(HostedMember.Grid, 8, 4, seed);
            experts.Collect(experts.Submit(batch));
            Batches.AssertDone(batch);
        }

        await gateway.StopAsync();
        await silo.StopAsync();
    }

    private static async Task AssertRefusedInPlainTextAsync(IPEndPoint port)
    {
        using TcpClient stranger = new();
        await stranger.ConnectAsync(port);
        await stranger.GetStream().WriteAsync(new byte[64]);
        await AssertEndsAsync(stranger.GetStream());
    }

    private static async Task AssertRefusedAsync(IPEndPoint port, (string Certificate, string Key) shown)
    {
        using TcpClient stranger = new();
        await stranger.ConnectAsync(port);
        using SslStream stream = new(stranger.GetStream());
        try
        {
            await stream.AuthenticateAsClientAsync(Stranger.Options(shown));
        }
        catch (Exception exception) when (exception is AuthenticationException or IOException)
        {
            return;
        }

        await AssertEndsAsync(stream);
    }

    private static async Task AssertEndsAsync(Stream stream)
    {
        try
        {
            // TLS may say why in a few bytes; no message of Orleans is that short.
            byte[] bytes = new byte[64];
            Assert.True(await stream.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false).AsTask().WaitAsync(TimeSpan.FromSeconds(20)) < bytes.Length);
        }
        catch (IOException)
        {
        }
    }

    private Task AssertSaidAsync(string who, string why) =>
        Eventually.TrueAsync(() => _log.Lines.Any(line => line.StartsWith(who, StringComparison.Ordinal) && line.Contains(why, StringComparison.Ordinal)), $"'{why}' in the log; it has: {string.Join('\n', _log.Lines)}");

    private IHost Member(string name, bool hostsShards, bool tls = true) =>
        HostedMember.Build(Options(name, hostsShards, tls), gateway: !hostsShards, configure: builder => builder.Logging.AddProvider(_log));

    private ClusterOptions Options(string name, bool hostsShards, bool tls = true) =>
        new() { Mode = ClusterMode.Localhost, ClusterId = "tls", SiloName = name, HostsShards = hostsShards, StateFolder = _folder, Certificates = tls ? ClusterCertificatesTests.Load(_authority, name) : null };
}
