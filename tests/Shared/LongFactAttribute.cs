namespace K2Cluster.Tests;

/// <summary>A test for which CI has no time: it runs where K2_LONG is set, and says so elsewhere.</summary>
internal sealed class LongFactAttribute : FactAttribute
{
    public LongFactAttribute()
    {
        if (!Long.IsAskedFor)
            Skip = Long.IsMissing;
    }
}
