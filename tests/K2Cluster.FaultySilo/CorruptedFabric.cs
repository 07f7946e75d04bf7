using System.Net;
using K2Cluster.Cluster.Tests.Dispatch;
using K2Cluster.Contracts;

namespace K2Cluster.FaultySilo;

/// <summary>
/// Has gateways reach this silo's fabric through a proxy, by changing what the silo reports. While there is a file "corrupt", one
/// in twenty of the pieces that it sends has another byte.
/// </summary>
internal sealed class CorruptedFabric(FaultSettings settings) : IOutgoingGrainCallFilter, IDisposable
{
    private const int Every = 20;

    private readonly Lock _lock = new();
    private TcpProxy? _proxy;
    private int _pieces;

    public Task Invoke(IOutgoingGrainCallContext context)
    {
        if (context.InterfaceMethod.Name == nameof(IPlacementGrain.ReportAsync) && context.Request.GetArgument(0) is SiloReport report)
            context.Request.SetArgument(0, report with { Shards = [.. report.Shards.Select(Proxied)] });
        return context.Invoke();
    }

    public void Dispose() => _proxy?.Dispose();

    private ShardReport Proxied(ShardReport report) =>
        report.Shard.Endpoint is { } endPoint ? report with { Shard = report.Shard with { Endpoint = ProxyTo(endPoint).EndPoint.ToString() } } : report;

    private TcpProxy ProxyTo(string endPoint)
    {
        lock (_lock)
            return _proxy ??= new TcpProxy(IPEndPoint.Parse(endPoint)) { Change = Change };
    }

    private void Change(Span<byte> piece)
    {
        if (settings.IsOn("corrupt") && Interlocked.Increment(ref _pieces) % Every == 0)
            piece[piece.Length / 2] ^= 1;
    }
}
