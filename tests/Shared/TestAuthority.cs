using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace K2Cluster.Tests;

/// <summary>An authority of certificates, its files in a folder of its own.</summary>
internal sealed class TestAuthority : IDisposable
{
    private static int _next;

    private readonly string _folder = Directory.CreateTempSubdirectory("k2cluster-tls-").FullName;
    private readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
    private readonly X509Certificate2 _certificate;

    public TestAuthority(string name = "CN=test authority")
    {
        CertificateRequest request = new(name, _key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        _certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddYears(-10), DateTimeOffset.UtcNow.AddYears(10));
        File = Path.Combine(_folder, "ca.pem");
        System.IO.File.WriteAllText(File, _certificate.ExportCertificatePem() + "\n");
    }

    /// <summary>The authority's certificate.</summary>
    public string File { get; }

    /// <summary>A member's certificate and key, in files that no other call writes.</summary>
    public (string Certificate, string Key) Sign(string name = "member", int daysLeft = 30, string[]? usages = null)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = Sign(key, name, daysLeft, usages);
        string path = Path.Combine(_folder, $"{name}-{Interlocked.Increment(ref _next)}");
        System.IO.File.WriteAllText($"{path}.pem", certificate.ExportCertificatePem());
        System.IO.File.WriteAllText($"{path}.key", key.ExportPkcs8PrivateKeyPem());
        return ($"{path}.pem", $"{path}.key");
    }

    public void Dispose()
    {
        _key.Dispose();
        _certificate.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private X509Certificate2 Sign(ECDsa key, string name, int daysLeft, string[]? usages)
    {
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        if (usages is not null)
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([.. usages.Select(usage => new Oid(usage))], critical: false));
        DateTimeOffset end = DateTimeOffset.UtcNow.AddDays(daysLeft);
        return request.Create(_certificate, end.AddDays(-60), end, RandomNumberGenerator.GetBytes(8));
    }
}
