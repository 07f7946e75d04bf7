using System.Diagnostics;

namespace K2Cluster.Cli;

/// <summary>The ways between two ends in this process, each measured in turn so that a disturbance meets all of them.</summary>
internal sealed class FabricBench : IDisposable
{
    private readonly FabricBenchOptions _options;
    private readonly BenchCertificate _certificate = new();
    private readonly List<(string Name, int Echo, IBenchWay Way)> _ways = [];

    public FabricBench(FabricBenchOptions options)
    {
        _options = options;
        Add("TCP echo", 0, new EchoWay(options.Bytes, null));
        Add("fabric, a thread waits", 0, new FabricWay(options.Bytes, null, isInline: false));
        Add("fabric, next call from the answer", 0, new FabricWay(options.Bytes, null, isInline: true));
        Add("TLS echo", 3, new EchoWay(options.Bytes, _certificate));
        Add("fabric with TLS, a thread waits", 3, new FabricWay(options.Bytes, _certificate, isInline: false));
        Add("fabric with TLS, next call from the answer", 3, new FabricWay(options.Bytes, _certificate, isInline: true));
    }

    public FabricReport Run(MachineFacts machine, CancellationToken cancellation)
    {
        double[][] times = [.. _ways.Select(_ => new double[_options.Rounds * _options.Calls])];
        long[] allocated = new long[_ways.Count];
        long[] ticks = new long[_options.Calls];
        foreach ((_, _, IBenchWay way) in _ways)
            way.Run(ticks);
        for (int round = 0; round < _options.Rounds; round++)
        {
            for (int way = 0; way < _ways.Count; way++)
            {
                cancellation.ThrowIfCancellationRequested();
                long before = GC.GetTotalAllocatedBytes(precise: true);
                _ways[way].Way.Run(ticks);
                allocated[way] += GC.GetTotalAllocatedBytes(precise: true) - before;
                for (int call = 0; call < ticks.Length; call++)
                    times[way][(round * ticks.Length) + call] = ticks[call] * 1e6 / Stopwatch.Frequency;
            }
        }

        Spread[] spreads = [.. times.Select(Spread.Of)];
        return new FabricReport(machine, _options, [.. _ways.Select((way, index) => new FabricResult(
            way.Name, spreads[index], spreads[index].P50 / spreads[way.Echo].P50, (double)allocated[index] / times[index].Length))]);
    }

    public void Dispose()
    {
        foreach ((_, _, IBenchWay way) in _ways)
            way.Dispose();
        _certificate.Dispose();
    }

    private void Add(string name, int echo, IBenchWay way) => _ways.Add((name, echo, way));
}
