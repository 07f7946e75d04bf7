using System.Collections.Immutable;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace K2Cluster.Cluster.Security;

/// <summary>
/// What this member shows its peers and whom it trusts: every member has a certificate of the cluster's own authority, and
/// that is all that makes it one. Names in certificates are not compared: a member's address is what the table of members
/// says, and who may have a certificate is for the authority's owner to decide.
/// </summary>
public sealed class ClusterCertificates
{
    private const string ServerUsage = "1.3.6.1.5.5.7.3.1";
    private const string ClientUsage = "1.3.6.1.5.5.7.3.2";

    private readonly SslStreamCertificateContext _own;
    private readonly X509Certificate2Collection _trusted;

    private ClusterCertificates(SslStreamCertificateContext own, X509Certificate2Collection trusted, ImmutableArray<string> authorities) =>
        (_own, _trusted, Authorities) = (own, trusted, authorities);

    /// <summary>Fingerprints (SHA-256) of the authorities trusted: first the one that this member's certificate is of.</summary>
    internal ImmutableArray<string> Authorities { get; }

    /// <summary>Reads PEM files: a certificate, with those between it and the authority where there are any, its key, and the authority's certificate, or several.</summary>
    /// <exception cref="ClusterException">A file is not what it should be, or the three do not go together.</exception>
    public static ClusterCertificates Load(string certificateFile, string keyFile, string authorityFile)
    {
        X509Certificate2Collection chain = ReadCertificates("--tls-cert", certificateFile);
        X509Certificate2Collection trusted = ReadCertificates("--tls-ca", authorityFile);
        X509Certificate2 certificate = WithKey(chain[0], certificateFile, keyFile);
        chain.RemoveAt(0);
        X509Certificate2 authority = CheckChain(certificate, chain, trusted, certificateFile, authorityFile);
        string first = Fingerprint(authority);
        return new ClusterCertificates(
            SslStreamCertificateContext.Create(certificate, chain, offline: true),
            trusted,
            [first, .. trusted.Select(Fingerprint).Where(other => other != first).Distinct()]);
    }

    /// <summary>For the end that accepts: asks its peer for a certificate of the authority.</summary>
    public SslServerAuthenticationOptions ServerOptions() => new()
    {
        ServerCertificateContext = _own,
        ClientCertificateRequired = true,
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = Policy(_trusted, []),
        RemoteCertificateValidationCallback = Accept,
        AllowRenegotiation = false,
        AllowTlsResume = false, // what was accepted once may have expired
    };

    /// <summary>For the end that connects.</summary>
    public SslClientAuthenticationOptions ClientOptions() => new()
    {
        TargetHost = "k2cluster", // TLS wants a name; see above
        ClientCertificateContext = _own,
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        CertificateChainPolicy = Policy(_trusted, []),
        RemoteCertificateValidationCallback = Accept,
        AllowRenegotiation = false,
        AllowTlsResume = false,
    };

    /// <summary>Throws instead of returning false: the exception of the handshake then says why.</summary>
    private static bool Accept(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        errors &= ~SslPolicyErrors.RemoteCertificateNameMismatch;
        return errors == SslPolicyErrors.None
            ? true
            : throw new PeerRefusedException(certificate is X509Certificate2 shown && chain is not null ? $"its certificate {shown.Subject} {Describe(shown, chain)}" : "it showed no certificate");
    }

    private static X509ChainPolicy Policy(X509Certificate2Collection trusted, X509Certificate2Collection between)
    {
        X509ChainPolicy policy = new()
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.AddRange(trusted);
        policy.ExtraStore.AddRange(between);
        return policy;
    }

    private static X509Certificate2Collection ReadCertificates(string option, string file)
    {
        string text = ReadText(option, file);
        X509Certificate2Collection certificates = [];
        try
        {
            certificates.ImportFromPem(text);
        }
        catch (CryptographicException exception)
        {
            throw new ClusterException($"{option} '{file}' holds a certificate that cannot be read: {exception.Message}", exception);
        }

        return certificates.Count > 0 ? certificates : throw new ClusterException($"{option} '{file}' holds no certificate: expected PEM, with a line -----BEGIN CERTIFICATE-----.");
    }

    private static X509Certificate2 WithKey(X509Certificate2 certificate, string certificateFile, string keyFile)
    {
        string key = ReadText("--tls-key", keyFile);
        try
        {
            X509Certificate2 both = X509Certificate2.CreateFromPem(certificate.ExportCertificatePem(), key);

            // Windows' TLS takes no key that lives in memory only.
            return OperatingSystem.IsWindows() ? X509CertificateLoader.LoadPkcs12(both.Export(X509ContentType.Pkcs12), null) : both;
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException)
        {
            throw new ClusterException($"--tls-key '{keyFile}' is not the key of --tls-cert '{certificateFile}': expected PEM, not encrypted. ({exception.Message.ReplaceLineEndings(" ")})", exception);
        }
    }

    /// <returns>The authority that the certificate is of.</returns>
    private static X509Certificate2 CheckChain(X509Certificate2 certificate, X509Certificate2Collection between, X509Certificate2Collection trusted, string certificateFile, string authorityFile)
    {
        using X509Chain chain = new();
        chain.ChainPolicy = Policy(trusted, between);
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ServerUsage));
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(ClientUsage));
        if (!chain.Build(certificate))
            throw new ClusterException($"--tls-cert '{certificateFile}', {certificate.Subject}, {Describe(certificate, chain)} (--tls-ca is '{authorityFile}').");
        string root = Fingerprint(chain.ChainElements[^1].Certificate);
        return trusted.First(authority => Fingerprint(authority) == root);
    }

    /// <summary>What is wrong with a certificate and what to do, after its name.</summary>
    private static string Describe(X509Certificate2 certificate, X509Chain chain)
    {
        X509ChainStatusFlags flags = chain.ChainStatus.Aggregate(X509ChainStatusFlags.NoError, (all, status) => all | status.Status);
        return (flags & (X509ChainStatusFlags.UntrustedRoot | X509ChainStatusFlags.PartialChain)) != 0 ? "is not of an authority in --tls-ca: have it signed by the cluster's, or name that one's certificate"
            : flags.HasFlag(X509ChainStatusFlags.NotTimeValid) ? $"or its authority is not valid now (it is from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}): have a new one signed, or set the clocks right"
            : flags.HasFlag(X509ChainStatusFlags.NotValidForUsage) ? "is not for TLS servers and clients both: have it signed with extendedKeyUsage serverAuth and clientAuth, or without that extension"
            : $"is not valid: {string.Join("; ", chain.ChainStatus.Select(status => $"{status.Status} ({status.StatusInformation.Trim()})"))}";
    }

    private static string Fingerprint(X509Certificate2 certificate) => certificate.GetCertHashString(HashAlgorithmName.SHA256);

    private static string ReadText(string option, string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException)
        {
            throw new ClusterException($"{option} '{file}' cannot be read: {exception.Message}", exception);
        }
    }
}
