using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>A fact that needs two CPUs, to make two NUMA nodes of them.</summary>
internal sealed class NumaFactAttribute : FactAttribute
{
    /// <param name="isLong">Whether it runs only where K2_LONG is set.</param>
    public NumaFactAttribute(bool isLong = false)
    {
        if (Environment.ProcessorCount < 2)
            Skip = "This process may use one CPU only.";
        else if (isLong && !Long.IsAskedFor)
            Skip = Long.IsMissing;
    }
}
