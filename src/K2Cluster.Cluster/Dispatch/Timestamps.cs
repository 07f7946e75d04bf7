namespace K2Cluster.Cluster.Dispatch;

internal static class Timestamps
{
    /// <summary>A duration in the units of <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public static long Units(this TimeProvider time, TimeSpan duration) => (long)(duration.TotalSeconds * time.TimestampFrequency);
}
