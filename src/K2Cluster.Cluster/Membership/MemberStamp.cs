using System.Collections.Immutable;
using System.Globalization;
using System.Text.RegularExpressions;
using K2Cluster.Checkpoint;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// What a member's row says of it beside what Orleans needs, so that one that could not talk to the others learns why before
/// it tries. It is kept as the row's role name: every provider of a table keeps that, and nothing here goes by roles.
/// </summary>
/// <param name="Version">Its <see cref="WireProtocol.Version"/>.</param>
/// <param name="Authorities">Fingerprints of the authorities that it trusts, first the one of its own certificate; empty without TLS.</param>
/// <param name="Checkpoint">Of its checkpoint; null: fits any.</param>
internal sealed partial record MemberStamp(int Version, ImmutableArray<string> Authorities, CheckpointFingerprint? Checkpoint = null)
{
    /// <summary>Enough to tell authorities apart by; whether to trust one is decided on whole certificates.</summary>
    private const int FingerprintLength = 32;

    public static MemberStamp Of(ClusterOptions options) =>
        new(WireProtocol.Version, options.Certificates is { } certificates ? [.. certificates.Authorities.Select(authority => authority[..FingerprintLength])] : [], options.Checkpoint);

    /// <summary>Null where the row says nothing that we understand.</summary>
    public static MemberStamp? TryParse(string? role)
    {
        Match match = Pattern.Match(role ?? "");
        if (!match.Success || !int.TryParse(match.Groups["version"].ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int version))
            return null;
        string checkpoint = match.Groups["checkpoint"].Value;
        CheckpointFingerprint? fingerprint = CheckpointFingerprint.TryParse(checkpoint);
        return checkpoint.Length > 0 && fingerprint is null ? null
            : new MemberStamp(version, [.. match.Groups["authorities"].Value.Split(',', StringSplitOptions.RemoveEmptyEntries)], fingerprint);
    }

    public override string ToString() => $"k2cluster wire={Version} authorities={string.Join(',', Authorities)} checkpoint={Checkpoint}";

    /// <summary>Why this process cannot be a member beside another, and what to do; null when it can.</summary>
    /// <param name="member">The other's name.</param>
    /// <param name="theirs">The other's stamp.</param>
    public string? Conflict(string member, MemberStamp? theirs) =>
        theirs is null || theirs.Version != Version ? $"it speaks version {Version} of the cluster's protocol, {member} {(theirs is null ? "one that it does not know" : $"version {theirs.Version}")}. Run one release on all: stop the cluster's processes, then start them from it"
        : ConflictOfAuthorities(member, theirs) ?? ConflictOfCheckpoints(member, theirs);

    private string? ConflictOfAuthorities(string member, MemberStamp theirs) =>
        Authorities.IsEmpty && theirs.Authorities.IsEmpty ? null
        : Authorities.IsEmpty ? $"{member} has TLS, this process has none. Give it a certificate of the cluster's authority (--tls-cert, --tls-key, --tls-ca)"
        : theirs.Authorities.IsEmpty ? $"this process has TLS, {member} has none. Give every process of the cluster a certificate, or none"
        : theirs.Authorities.Contains(Authorities[0]) && Authorities.Contains(theirs.Authorities[0]) ? null
        : $"its certificate is of authority {Authorities[0]}, that of {member} of {theirs.Authorities[0]}, and they do not trust both. Have all signed by one; while one takes the other's place, --tls-ca may hold both";

    private string? ConflictOfCheckpoints(string member, MemberStamp theirs) =>
        Checkpoint is { } checkpoint && theirs.Checkpoint is { } other && checkpoint.DifferenceFrom(other) is { } difference
            ? $"its checkpoint (--model {checkpoint.Directory}) differs from that of {member}: {difference}. Copy the checkpoint again, or give it a cluster of its own"
            : null;

    [GeneratedRegex("^k2cluster wire=(?<version>[0-9]+) authorities=(?<authorities>[^ ]*) checkpoint=(?<checkpoint>[^ ]*)( |$)")]
    private static partial Regex Pattern { get; }
}
