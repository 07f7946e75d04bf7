using K2Cluster.Engine.Scheduling;
using K2Cluster.Engine.Tests.Fakes;

namespace K2Cluster.Engine.Tests.Scheduling;

public sealed class KvPagesTests
{
    [Fact]
    public void A_sequence_keeps_what_it_got_when_pages_do_not_suffice()
    {
        KvPages pages = new(3);
        Sequence sequence = Make(1, 1000);
        Assert.False(pages.TryGrow(sequence, 200));
        Assert.Equal((3, 0), (sequence.Pages.Count, pages.Available));
        Assert.True(pages.TryGrow(sequence, 192));
        pages.CheckIntegrity([sequence]);
    }

    [Fact]
    public void A_page_that_came_back_twice_is_told_once_and_one_that_is_in_use_again_not_at_all()
    {
        KvPages pages = new(2);
        Sequence sequence = Make(1, 1000);
        for (int i = 0; i < 2; i++)
        {
            Assert.True(pages.TryGrow(sequence, 100));
            pages.Release(sequence);
        }

        Assert.True(pages.TryGrow(sequence, 10));
        List<int> freed = [];
        pages.TakeFreed(freed);
        Assert.Single(freed);
        Assert.DoesNotContain(sequence.Pages[0], freed);
    }

    [Fact]
    public void Equal_pages_become_one_and_the_integrity_check_sees_what_is_wrong()
    {
        KvPages pages = new(4);
        Sequence[] sequences = [Make(1, 100), Make(1, 100)];
        foreach (Sequence sequence in sequences)
        {
            Assert.True(pages.TryGrow(sequence, 64));
            sequence.Computed = 64;
            pages.Share(sequence);
        }

        Assert.Equal(sequences[0].Pages, sequences[1].Pages);
        Assert.Equal(3, pages.Free);
        pages.CheckIntegrity(sequences);
        Assert.Throws<InvalidOperationException>(() => pages.CheckIntegrity([sequences[0]]));
        sequences[1].Computed = 0;
        Assert.Throws<InvalidOperationException>(() => pages.CheckIntegrity(sequences));
    }

    private static Sequence Make(int mark, int length) => new(Requests.Make(mark, length, 1), 1, TimeSpan.MaxValue);
}
