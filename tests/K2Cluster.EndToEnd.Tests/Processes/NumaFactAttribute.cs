namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>A fact that needs two CPUs, to make two NUMA nodes of them.</summary>
internal sealed class NumaFactAttribute : FactAttribute
{
    public NumaFactAttribute()
    {
        if (Environment.ProcessorCount < 2)
            Skip = "This process may use one CPU only.";
    }
}
