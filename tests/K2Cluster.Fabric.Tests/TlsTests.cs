using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace K2Cluster.Fabric.Tests;

/// <summary>Mutual TLS, with certificates made here.</summary>
public sealed class TlsTests : IDisposable
{
    private readonly X509Certificate2 _server = MakeCertificate();
    private readonly X509Certificate2 _client = MakeCertificate();

    [Theory]
    [InlineData(0)]
    [InlineData(14_336)]
    [InlineData(1 << 20)]
    public async Task Calls_go_over_mutual_TLS(int length)
    {
        using Pair pair = await new Pair(options => Secure(options, _client)).ReadyAsync();
        byte[] payload = new byte[length];
        new Random(1).NextBytes(payload);
        for (int i = 0; i < 3; i++)
            Assert.Equal(payload, await pair.Send([], payload));
        await Task.WhenAll(Enumerable.Range(0, 50).Select(async _ => Assert.Equal([9], await pair.Send([], [9]))));
    }

    [Theory]
    [InlineData("an unknown certificate")]
    [InlineData("no certificate")]
    [InlineData("no TLS")]
    public async Task A_client_is_refused_that_has(string what)
    {
        using X509Certificate2 unknown = MakeCertificate();
        using Pair pair = new(
            options => what switch
            {
                "no TLS" => options,
                "no certificate" => Secure(options, null),
                _ => Secure(options, unknown),
            },
            options => Secure(options, _client));
        Assert.False(pair.Peer.IsReady(FabricLane.Decode));
        await Eventually.TrueAsync(() => pair.Log.Any(line => line.Contains("peer 1")) && pair.Log.Count > 1, "the refusal");
        Assert.False(pair.Peer.IsReady(FabricLane.Decode));
        Assert.Equal(0, pair.Counts.Connections);
        Assert.Empty(pair.Gone);
    }

    public void Dispose()
    {
        _server.Dispose();
        _client.Dispose();
    }

    private FabricOptions Secure(FabricOptions options, X509Certificate2? client) => options with
    {
        ClientTls = () => new SslClientAuthenticationOptions
        {
            TargetHost = "k2",
            ClientCertificates = client is null ? null : [client],
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null && certificate.GetCertHashString() == _server.Thumbprint,
        },
        ServerTls = () => new SslServerAuthenticationOptions
        {
            ServerCertificate = _server,
            ClientCertificateRequired = true,
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null && certificate.GetCertHashString() == _client.Thumbprint,
        },
    };

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=k2", key, HashAlgorithmName.SHA256);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }
}
