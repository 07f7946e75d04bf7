using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace K2Cluster.Cli;

/// <summary>A certificate made for this run, which both ends show and expect.</summary>
internal sealed class BenchCertificate : IDisposable
{
    private readonly X509Certificate2 _certificate = Make();

    public SslClientAuthenticationOptions Client() => new() { TargetHost = "k2", ClientCertificates = [_certificate], RemoteCertificateValidationCallback = IsOurs };

    public SslServerAuthenticationOptions Server() => new() { ServerCertificate = _certificate, ClientCertificateRequired = true, RemoteCertificateValidationCallback = IsOurs };

    public void Dispose() => _certificate.Dispose();

    private bool IsOurs(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors) => certificate?.GetCertHashString() == _certificate.Thumbprint;

    private static X509Certificate2 Make()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=k2", key, HashAlgorithmName.SHA256);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }
}
