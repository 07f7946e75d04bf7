using System.Diagnostics;
using System.Globalization;

namespace K2Cluster.GpuCheck;

/// <summary>Lines that say how far the check is, with the seconds since its start.</summary>
internal sealed class Progress(TextWriter output)
{
    private readonly long _started = Stopwatch.GetTimestamp();

    public TimeSpan Elapsed => Stopwatch.GetElapsedTime(_started);

    public void Say(FormattableString what) => output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Elapsed.TotalSeconds,6:0.0} s  {what.ToString(CultureInfo.InvariantCulture)}"));
}
