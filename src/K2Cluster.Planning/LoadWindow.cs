namespace K2Cluster.Planning;

/// <summary>
/// Rows of each expert over about the last minutes: a sum in which a row counts half as much after each half-life. Fed with the
/// counters that devices keep, which only grow; a report that is lost or comes twice changes nothing.
/// </summary>
public sealed class LoadWindow
{
    /// <summary>Rows per expert below which nothing is known: fewer are chance.</summary>
    private const int LeastRows = 4;

    private readonly TimeProvider _time;
    private readonly TimeSpan _halfLife;
    private readonly double[] _rows;
    private readonly Dictionary<string, Source> _sources = [];
    private double[]? _known;
    private long _decayed;

    public LoadWindow(TimeProvider time, TimeSpan halfLife, int experts)
    {
        (_time, _halfLife) = (time, halfLife);
        _rows = new double[experts];
        _decayed = time.GetTimestamp();
    }

    /// <summary>Takes a device's counters. The first of an expert in a life are where counting starts, as it may be long ago that they began.</summary>
    /// <param name="device">The device's id.</param>
    /// <param name="life">Which life of it: another starts from 0.</param>
    /// <param name="experts">What it holds.</param>
    /// <param name="counted">The counter of each of these; they may go round.</param>
    public void Observe(string device, long life, ReadOnlySpan<int> experts, ReadOnlySpan<uint> counted)
    {
        Decay();
        if (!_sources.TryGetValue(device, out Source? source) || source.Life != life)
            _sources[device] = source = new Source(life, []);
        for (int i = 0; i < Math.Min(experts.Length, counted.Length); i++)
        {
            if (!source.Counted.TryGetValue(experts[i], out uint before))
            {
                source.Counted[experts[i]] = counted[i];
                continue;
            }

            // One that a newer report has overtaken would count backwards.
            int rows = unchecked((int)(counted[i] - before));
            if (rows <= 0)
                continue;
            source.Counted[experts[i]] = counted[i];
            if ((uint)experts[i] < (uint)_rows.Length)
                _rows[experts[i]] += rows;
        }
    }

    /// <summary>The device is gone; its rows stay until they fade.</summary>
    public void Forget(string device) => _sources.Remove(device);

    /// <summary>
    /// Rows of each expert, and a few for what was not seen; null until enough were seen to tell one expert from another. While
    /// nothing comes, it stays at what was known last: a cluster that rests does not forget what it is for.
    /// </summary>
    public double[]? Rows()
    {
        Decay();
        if (_rows.Sum() >= (double)LeastRows * _rows.Length)
            _known = [.. _rows.Select(rows => rows + LeastRows)];
        return _known;
    }

    private void Decay()
    {
        TimeSpan passed = _time.GetElapsedTime(_decayed);
        if (passed < TimeSpan.FromSeconds(1))
            return;
        _decayed = _time.GetTimestamp();
        double factor = Math.Pow(0.5, passed / _halfLife);
        for (int expert = 0; expert < _rows.Length; expert++)
            _rows[expert] *= factor;
    }

    private sealed record Source(long Life, Dictionary<int, uint> Counted);
}
