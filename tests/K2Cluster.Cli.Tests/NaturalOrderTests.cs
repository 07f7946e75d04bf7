namespace K2Cluster.Cli.Tests;

public sealed class NaturalOrderTests
{
    [Fact]
    public void Names_are_in_the_order_of_their_numbers()
    {
        string[] ordered = ["", "01", "1", "2", "a", "host-1", "host-2/0", "host-2/1", "host-2/10", "host-10", "host-10b", "host-99999999999999999999", "host-x", "nas"];
        string[] shuffled = [.. ordered];
        new Random(1).Shuffle(shuffled);
        Assert.Equal(ordered, shuffled.Order(NaturalOrder.Instance));
    }
}
