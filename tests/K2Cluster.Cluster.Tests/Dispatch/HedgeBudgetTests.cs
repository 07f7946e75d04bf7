using K2Cluster.Cluster.Dispatch;

namespace K2Cluster.Cluster.Tests.Dispatch;

public sealed class HedgeBudgetTests
{
    private readonly HedgeBudget _budget = new(percent: 10);

    [Fact]
    public void Quiet_calls_do_not_pile_up_hedges()
    {
        for (int i = 0; i < 100_000; i++)
            _budget.Earn();
        Assert.Equal(HedgeBudget.Most, SpendAll());
    }

    [Fact]
    public void Beyond_the_first_few_a_share_of_the_calls_is_hedged()
    {
        SpendAll();
        int hedged = 0;
        for (int i = 0; i < 1000; i++)
        {
            _budget.Earn();
            hedged += SpendAll();
        }

        Assert.Equal(100, hedged);
    }

    private int SpendAll()
    {
        int spent = 0;
        while (_budget.TrySpend())
            spent++;
        return spent;
    }
}
