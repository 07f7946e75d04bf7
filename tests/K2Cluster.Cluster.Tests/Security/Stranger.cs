using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace K2Cluster.Cluster.Tests.Security;

/// <summary>A client that trusts whoever it meets, with a certificate of its own or without: it is for the other end to refuse it.</summary>
internal static class Stranger
{
    public static SslClientAuthenticationOptions Options((string Certificate, string Key)? shown = null) => new()
    {
        TargetHost = "any",
#pragma warning disable CA5359 // see above
        RemoteCertificateValidationCallback = (_, _, _, _) => true,
#pragma warning restore CA5359
        ClientCertificates = shown is { } files ? [X509Certificate2.CreateFromPemFile(files.Certificate, files.Key)] : [],
    };
}
