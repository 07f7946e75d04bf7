namespace K2Cluster.Grains.Shards;

/// <summary>
/// How many expert rows a device computes in a second of computing, of which the last ten seconds count most. Written by one
/// thread at a time, read by any.
/// </summary>
internal sealed class ForwardPace
{
    /// <summary>Less computing than this says more about the first calls than about the device.</summary>
    private const double LeastSeconds = 2;
    private const double HalfLifeSeconds = 10;

    private double _rows;
    private double _seconds;
    private double _rowsPerSecond;

    /// <summary>0 until enough was computed.</summary>
    public double RowsPerSecond => Volatile.Read(ref _rowsPerSecond);

    public void Add(int rows, TimeSpan duration)
    {
        double fade = Math.Exp(-Math.Log(2) / HalfLifeSeconds * duration.TotalSeconds);
        _rows = (_rows * fade) + rows;
        _seconds = (_seconds * fade) + duration.TotalSeconds;
        if (_seconds >= LeastSeconds)
            Volatile.Write(ref _rowsPerSecond, _rows / _seconds);
    }
}
