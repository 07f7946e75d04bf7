using K2Cluster.Checkpoint;
using K2Cluster.Cluster.Membership;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Tests.Membership;

public class MemberStampTests
{
    private static readonly MemberStamp Plain = new(WireProtocol.Version, []);

    [Fact]
    public void A_stamp_is_read_as_it_was_written()
    {
        foreach (MemberStamp stamp in new[] { Plain, Trusting("A"), Trusting("A", "B"), Having(Fingerprint(new('0', 40))) })
        {
            MemberStamp read = MemberStamp.TryParse(stamp.ToString())!;
            Assert.Equal(stamp.Version, read.Version);
            Assert.Equal<string>(stamp.Authorities, read.Authorities);
            Assert.Equal(stamp.Checkpoint?.ToString(), read.Checkpoint?.ToString());
        }
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("K2Cluster.Silo")]
    [InlineData(" authorities=A")]
    [InlineData("k2cluster wire=1 authorities=")]
    [InlineData("k2cluster wire=x authorities= checkpoint=")]
    [InlineData("k2cluster wire=-1 authorities= checkpoint=")]
    [InlineData("k2cluster wire=1 authorities= checkpoint=x")]
    [InlineData("k2cluster wire=99999999999 authorities= checkpoint=")]
    public void What_is_no_stamp_fits_nobody(string? role)
    {
        Assert.Null(MemberStamp.TryParse(role));
        Assert.Contains("Run one release on all", Plain.Conflict("a", MemberStamp.TryParse(role)));
    }

    [Fact]
    public void Members_fit_when_they_speak_one_version_and_trust_each_other()
    {
        Assert.Null(Plain.Conflict("a", Plain));
        Assert.Null(Trusting("A").Conflict("a", Trusting("A")));
        Assert.Null(Trusting("A", "B").Conflict("a", Trusting("B", "A"))); // one takes the other's place
        Assert.Contains("a version 2", Plain.Conflict("a", Plain with { Version = 2 }));
        Assert.Contains("a has TLS, this process has none", Plain.Conflict("a", Trusting("A")));
        Assert.Contains("this process has TLS, a has none", Trusting("A").Conflict("a", Plain));
        Assert.Contains("do not trust both", Trusting("A").Conflict("a", Trusting("B")));
        Assert.Contains("do not trust both", Trusting("A", "B").Conflict("a", Trusting("B")));
        Assert.Contains("do not trust both", Trusting("A").Conflict("a", Trusting("B", "A")));
    }

    [Fact]
    public void Members_fit_when_their_checkpoints_do()
    {
        MemberStamp one = Having(Fingerprint(new('0', 40)));
        Assert.Null(one.Conflict("a", Having(Fingerprint(new('0', 40)))));
        Assert.Null(one.Conflict("a", Plain));
        string conflict = one.Conflict("a", Having(Fingerprint("1" + new string('0', 39))))!;
        Assert.Contains("its checkpoint (--model ", conflict);
        Assert.Contains(" differs from that of a: ", conflict);
        Assert.Contains("Copy the checkpoint again", conflict);
        Assert.Contains("do not trust both", (Trusting("A") with { Checkpoint = one.Checkpoint }).Conflict("a", Trusting("B")));
    }

    private static CheckpointFingerprint Fingerprint(string text) => CheckpointFingerprint.TryParse(text)!;

    private static MemberStamp Having(CheckpointFingerprint checkpoint) => Plain with { Checkpoint = checkpoint };

    private static MemberStamp Trusting(params string[] authorities) => new(WireProtocol.Version, [.. authorities]);
}
