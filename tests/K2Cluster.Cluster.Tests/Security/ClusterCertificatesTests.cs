using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using K2Cluster.Cluster.Security;
using K2Cluster.Tests;

namespace K2Cluster.Cluster.Tests.Security;

public sealed class ClusterCertificatesTests : IDisposable
{
    private const string ServerUsage = "1.3.6.1.5.5.7.3.1";
    private const string ClientUsage = "1.3.6.1.5.5.7.3.2";

    private readonly TestAuthority _authority = new();
    private readonly TestAuthority _other = new("CN=other authority");

    public void Dispose()
    {
        _authority.Dispose();
        _other.Dispose();
    }

    [Fact]
    public async Task Members_of_one_authority_accept_each_other_whatever_their_names()
    {
        Assert.Equal((null, null), await HandshakeAsync(Load(_authority), Load(_authority, "another")));
    }

    [Fact]
    public async Task A_member_of_another_authority_is_refused_by_either_end()
    {
        (string? server, string? client) = await HandshakeAsync(Load(_authority), Load(_other, "stranger"));

        Assert.Contains("is not of an authority in --tls-ca", $"{server}{client}");
        (server, client) = await HandshakeAsync(Load(_authority), Stranger.Options(_other.Sign("stranger")));
        Assert.Contains("CN=stranger is not of an authority in --tls-ca", server);
        Assert.NotNull(client);
    }

    [Fact]
    public async Task A_peer_whose_certificate_has_expired_or_that_shows_none_is_refused()
    {
        (string? server, string? client) = await HandshakeAsync(Load(_authority), Stranger.Options(_authority.Sign("late", daysLeft: -1)));
        Assert.Contains("CN=late or its authority is not valid now", server);
        Assert.NotNull(client);

        (server, client) = await HandshakeAsync(Load(_authority), Stranger.Options());
        Assert.Contains("it showed no certificate", server);
        Assert.NotNull(client);
    }

    [Fact]
    public void Two_authorities_may_be_trusted_while_one_takes_the_place_of_the_other()
    {
        string both = Path.Combine(Path.GetDirectoryName(_authority.File)!, "both.pem");
        File.WriteAllText(both, File.ReadAllText(_other.File) + File.ReadAllText(_authority.File));
        (string certificate, string key) = _authority.Sign();

        ClusterCertificates certificates = ClusterCertificates.Load(certificate, key, both);

        Assert.Equal<string>([.. Load(_authority).Authorities, .. Load(_other).Authorities], certificates.Authorities);
    }

    [Fact]
    public void What_cannot_be_used_is_refused_with_the_option_the_file_and_what_to_do()
    {
        (string certificate, string key) = _authority.Sign();
        (_, string otherKey) = _authority.Sign();
        (string late, string lateKey) = _authority.Sign("late", daysLeft: -1);
        (string server, string serverKey) = _authority.Sign("server", usages: [ServerUsage]);
        (string both, string bothKey) = _authority.Sign("both", usages: [ServerUsage, ClientUsage]);
        string garbage = Path.Combine(Path.GetDirectoryName(certificate)!, "garbage");
        File.WriteAllText(garbage, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");

        AssertRefused("--tls-cert '/nowhere/a.pem' cannot be read", "/nowhere/a.pem", key, _authority.File);
        AssertRefused("--tls-key '/nowhere/a.key' cannot be read", certificate, "/nowhere/a.key", _authority.File);
        AssertRefused("--tls-ca '' cannot be read", certificate, key, "");
        AssertRefused($"--tls-cert '{key}' holds no certificate", key, key, _authority.File);
        AssertRefused($"--tls-ca '{garbage}' holds a certificate that cannot be read", certificate, key, garbage);
        AssertRefused($"--tls-key '{otherKey}' is not the key of", certificate, otherKey, _authority.File);
        AssertRefused($"--tls-key '{certificate}' is not the key of", certificate, certificate, _authority.File);
        AssertRefused("is not of an authority in --tls-ca", certificate, key, _other.File);
        AssertRefused("have a new one signed, or set the clocks right", late, lateKey, _authority.File);
        AssertRefused("extendedKeyUsage serverAuth and clientAuth", server, serverKey, _authority.File);
        ClusterCertificates.Load(both, bothKey, _authority.File);
    }

    private static void AssertRefused(string message, string certificate, string key, string authority) =>
        Assert.Contains(message, Assert.Throws<ClusterException>(() => ClusterCertificates.Load(certificate, key, authority)).Message);

    internal static ClusterCertificates Load(TestAuthority authority, string name = "member")
    {
        (string certificate, string key) = authority.Sign(name);
        return ClusterCertificates.Load(certificate, key, authority.File);
    }

    private static Task<(string? Server, string? Client)> HandshakeAsync(ClusterCertificates server, ClusterCertificates client) => HandshakeAsync(server, client.ClientOptions());

    /// <summary>Why each end failed, to the first byte that the client reads: in TLS 1.3 it learns only then of a refusal.</summary>
    private static async Task<(string? Server, string? Client)> HandshakeAsync(ClusterCertificates server, SslClientAuthenticationOptions client)
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        using TcpClient connection = new();
        await connection.ConnectAsync((IPEndPoint)listener.LocalEndpoint);
        using TcpClient accepted = await listener.AcceptTcpClientAsync();
        using SslStream serverStream = new(accepted.GetStream());
        using SslStream clientStream = new(connection.GetStream());
        Task<string?> serverEnd = WhyAsync(async () =>
        {
            await serverStream.AuthenticateAsServerAsync(server.ServerOptions());
            await serverStream.WriteAsync(new byte[1]);
        }, accepted);
        Task<string?> clientEnd = WhyAsync(async () =>
        {
            await clientStream.AuthenticateAsClientAsync(client);
            await clientStream.ReadExactlyAsync(new byte[1]);
        }, connection);
        return (await serverEnd, await clientEnd);
    }

    private static async Task<string?> WhyAsync(Func<Task> end, TcpClient connection)
    {
        try
        {
            await end().WaitAsync(TimeSpan.FromSeconds(20));
            return null;
        }
        catch (Exception exception) when (exception is AuthenticationException or IOException)
        {
            connection.Close();
            return exception.Message;
        }
    }
}
