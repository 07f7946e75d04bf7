namespace K2Cluster.Cli;

/// <summary>A way that bytes go there and back.</summary>
internal interface IBenchWay : IDisposable
{
    /// <summary>Makes calls one after the other, and notes the time (timestamp units) of each.</summary>
    void Run(long[] ticks);
}
