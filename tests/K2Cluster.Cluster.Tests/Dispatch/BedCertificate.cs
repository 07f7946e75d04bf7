using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using K2Cluster.Cluster.Dispatch;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>One certificate for both ends, which the server refuses when told so.</summary>
internal sealed class BedCertificate(Func<bool> refuses) : IDisposable
{
    private readonly X509Certificate2 _certificate = Make();
    private int _refusals;

    public int Refusals => Volatile.Read(ref _refusals);

    public FabricSecurity Security => new(
        () => new SslServerAuthenticationOptions { ServerCertificate = _certificate, ClientCertificateRequired = true, RemoteCertificateValidationCallback = (_, _, _, _) => Allows() },
        () => new SslClientAuthenticationOptions { TargetHost = "k2", ClientCertificates = [_certificate], RemoteCertificateValidationCallback = (_, shown, _, _) => shown?.GetCertHashString() == _certificate.Thumbprint });

    public void Dispose() => _certificate.Dispose();

    private bool Allows()
    {
        if (!refuses())
            return true;
        Interlocked.Increment(ref _refusals);
        return false;
    }

    private static X509Certificate2 Make()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=k2", key, HashAlgorithmName.SHA256);
        using X509Certificate2 made = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pkcs12), null);
    }
}
