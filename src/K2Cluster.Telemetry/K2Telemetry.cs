using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace K2Cluster.Telemetry;

/// <summary>The names of what K2Cluster measures. Names follow OpenTelemetry's conventions; Prometheus shows dots as underscores.</summary>
public static class K2Telemetry
{
    public const string GatewayMeterName = "K2Cluster.Gateway";
    public const string EngineMeterName = "K2Cluster.Engine";
    public const string ClusterMeterName = "K2Cluster.Cluster";
    public const string ShardMeterName = "K2Cluster.Shard";
    public const string FabricMeterName = "K2Cluster.Fabric";
    public const string ActivitySourceName = "K2Cluster";

    public static readonly string[] MeterNames = [GatewayMeterName, EngineMeterName, ClusterMeterName, ShardMeterName, FabricMeterName];

    /// <summary>Activities: "k2.request", "k2.step", "k2.dispatch", "k2.shard.forward".</summary>
    public static readonly ActivitySource Activities = new(ActivitySourceName);

    private static readonly Meter GatewayMeter = new(GatewayMeterName);
    private static readonly Meter EngineMeter = new(EngineMeterName);
    private static readonly Meter ClusterMeter = new(ClusterMeterName);
    private static readonly Meter ShardMeter = new(ShardMeterName);
    private static readonly Meter FabricMeter = new(FabricMeterName);

    /// <summary>Requests ended; tags: k2.api (chat, completions, grpc.chat, grpc.generate), k2.outcome (stop, length, tool_calls, cancelled, rejected, refused, failed).</summary>
    public static readonly Counter<long> Requests = GatewayMeter.CreateCounter<long>("k2.requests", "{request}", "Requests ended, by API and outcome.");

    /// <summary>Requests accepted and not ended.</summary>
    public static readonly UpDownCounter<long> ActiveRequests = GatewayMeter.CreateUpDownCounter<long>("k2.requests.active", "{request}", "Requests being served.");

    public static readonly Histogram<double> TimeToFirstToken = GatewayMeter.CreateHistogram<double>("k2.time_to_first_token", "s", "From a request's arrival to its first token.", advice: Seconds());

    public static readonly Histogram<double> RequestDuration = GatewayMeter.CreateHistogram<double>("k2.request.duration", "s", "From a request's arrival to its end.", advice: Seconds());

    /// <summary>Tokens read and written; tag: k2.token.type (prompt, completion).</summary>
    public static readonly Counter<long> Tokens = EngineMeter.CreateCounter<long>("k2.tokens", "{token}", "Tokens read and written.");

    public static readonly Histogram<double> StepDuration = EngineMeter.CreateHistogram<double>("k2.step.duration", "s", "One step of the engine.", advice: Seconds());

    /// <summary>Prompt tokens that were not computed because the prefix cache had them; not among <see cref="Tokens"/>.</summary>
    public static readonly Counter<long> PrefixCacheHits = EngineMeter.CreateCounter<long>("k2.prefix_cache.hits", "{token}", "Prompt tokens taken from the prefix cache.");

    public static readonly Counter<long> Preemptions = EngineMeter.CreateCounter<long>("k2.preemptions", "{preemption}", "Times a running request lost its KV pages to another and was computed again.");

    /// <summary>Tokens of speculative decoding; tag: k2.token.outcome (drafted, accepted).</summary>
    public static readonly Counter<long> SpeculatedTokens = EngineMeter.CreateCounter<long>("k2.speculation.tokens", "{token}", "Tokens drafted, and those of them that were the tokens chosen.");

    /// <summary>Expert calls; tags: k2.shard, k2.outcome (ok, unavailable, busy, not_held, wrong_incarnation, malformed).</summary>
    public static readonly Counter<long> Dispatches = ClusterMeter.CreateCounter<long>("k2.dispatches", "{call}", "Calls to shards, by shard and outcome.");

    /// <summary>Times that a shard gave NaN or infinite numbers for an expert and was not asked for it for a while; tags: k2.shard, k2.layer, k2.expert.</summary>
    public static readonly Counter<long> ExpertFaults = ClusterMeter.CreateCounter<long>("k2.expert.faults", "{fault}", "Times that a shard gave no finite numbers for an expert, by shard, layer and expert.");

    public static readonly Histogram<double> DispatchDuration = ClusterMeter.CreateHistogram<double>("k2.dispatch.duration", "s", "A call to a shard, as the gateway sees it.", advice: Seconds());

    public static readonly Histogram<double> ForwardDuration = ShardMeter.CreateHistogram<double>("k2.shard.forward.duration", "s", "One forward call on a device.", advice: Seconds());

    /// <summary>The part of a forward call in which the kernels run; tag: k2.device. Of devices that can tell: GPUs.</summary>
    public static readonly Histogram<double> KernelDuration = ShardMeter.CreateHistogram<double>("k2.shard.kernel.duration", "s", "The kernels of one forward call on a GPU, without copies.", advice: Seconds());

    public static readonly Counter<long> FabricFallbacks = FabricMeter.CreateCounter<long>("k2.fabric.fallbacks", "{call}", "Calls to shards that went through Orleans, as the fabric had no connection.");

    private static readonly ConcurrentDictionary<IFabricCounts, bool> Fabrics = new();

    private static readonly ConcurrentDictionary<IShardCounts, bool> Shards = new();

    private static readonly ConcurrentDictionary<IEngineCounts, bool> Engines = new();

    private static readonly ObservableUpDownCounter<int> EngineRequests = EngineMeter.CreateObservableUpDownCounter(
        "k2.engine.requests",
        () => Engines.Keys.SelectMany(engine => States("k2.request.state", ("waiting", engine.WaitingRequests), ("running", engine.RunningRequests))),
        "{request}",
        "Requests in the engine; tag: k2.request.state (waiting, running).");

    private static readonly ObservableUpDownCounter<int> KvPages = EngineMeter.CreateObservableUpDownCounter(
        "k2.kv.pages",
        () => Engines.Keys.SelectMany(engine => States("k2.page.state", ("used", engine.UsedPages), ("cached", engine.CachedPages), ("free", engine.FreePages))),
        "{page}",
        "KV pages of 64 tokens; tag: k2.page.state (used, cached, free).");

    // Both are read when somebody collects: counting costs the shard one addition a row.
    private static readonly ObservableCounter<long> ExpertTokens = ShardMeter.CreateObservableCounter("k2.expert.tokens", () => Shards.Keys.SelectMany(shard => shard.ExpertTokens()), "{token}", "Rows that an expert computed; tags: k2.shard, k2.layer, k2.expert.");

    private static readonly ObservableUpDownCounter<int> ExpertsHeld = ShardMeter.CreateObservableUpDownCounter("k2.experts.held", () => Shards.Keys.Select(shard => shard.ExpertsHeld()), "{expert}", "Experts that a shard holds; tag: k2.shard.");

    // Counted with one addition each, and read when somebody collects.
    private static readonly ObservableCounter<long> FabricBytes = FabricMeter.CreateObservableCounter("k2.fabric.bytes", () => BothWays(fabric => fabric.BytesSent, fabric => fabric.BytesReceived), "By", "Bytes of frames; tag: k2.direction (sent, received).");

    private static readonly ObservableCounter<long> FabricFrames = FabricMeter.CreateObservableCounter("k2.fabric.frames", () => BothWays(fabric => fabric.FramesSent, fabric => fabric.FramesReceived), "{frame}", "Frames; tag: k2.direction (sent, received).");

    private static readonly ObservableCounter<long> FabricCalls = FabricMeter.CreateObservableCounter("k2.fabric.calls", () => Fabrics.Keys.Sum(fabric => fabric.Calls), "{call}", "Calls sent over the fabric.");

    private static readonly ObservableCounter<long> FabricWaits = FabricMeter.CreateObservableCounter("k2.fabric.waits", () => Fabrics.Keys.Sum(fabric => fabric.Waits), "{call}", "Calls that waited before they were sent, as the connection had as much in flight as it may.");

    private static readonly ObservableCounter<long> FabricReconnects = FabricMeter.CreateObservableCounter("k2.fabric.reconnects", () => Fabrics.Keys.Sum(fabric => fabric.Reconnects), "{connection}", "Connections made again after one was lost.");

    private static readonly ObservableCounter<long> FabricChecksumFailures = FabricMeter.CreateObservableCounter("k2.fabric.checksum_failures", () => Fabrics.Keys.Sum(fabric => fabric.ChecksumFailures), "{frame}", "Frames that were changed on their way; each ended its connection.");

    private static readonly ObservableUpDownCounter<long> FabricInFlight = FabricMeter.CreateObservableUpDownCounter("k2.fabric.in_flight", () => Fabrics.Keys.Sum(fabric => fabric.InFlight), "{call}", "Calls sent over the fabric and not answered.");

    private static readonly ObservableUpDownCounter<long> FabricConnections = FabricMeter.CreateObservableUpDownCounter("k2.fabric.connections", () => Fabrics.Keys.Sum(fabric => fabric.Connections), "{connection}", "Connections past their handshake.");

    /// <summary>Exports a shard's counts until the result is disposed.</summary>
    public static IDisposable Observe(IShardCounts shard)
    {
        Shards.TryAdd(shard, true);
        return new Observation(shard);
    }

    /// <summary>Exports an engine's counts until the result is disposed.</summary>
    public static IDisposable Observe(IEngineCounts engine)
    {
        Engines.TryAdd(engine, true);
        return new EngineObservation(engine);
    }

    /// <summary>Exports the counts of one side of the fabric until the result is disposed.</summary>
    public static IDisposable Observe(IFabricCounts fabric)
    {
        Fabrics.TryAdd(fabric, true);
        return new FabricObservation(fabric);
    }

    private static IEnumerable<Measurement<long>> BothWays(Func<IFabricCounts, long> sent, Func<IFabricCounts, long> received) =>
        [new(Fabrics.Keys.Sum(sent), new KeyValuePair<string, object?>("k2.direction", "sent")), new(Fabrics.Keys.Sum(received), new KeyValuePair<string, object?>("k2.direction", "received"))];

    private static IEnumerable<Measurement<int>> States(string tag, params (string State, int Count)[] states) =>
        states.Select(entry => new Measurement<int>(entry.Count, new KeyValuePair<string, object?>(tag, entry.State)));

    private static InstrumentAdvice<double> Seconds() => new()
    {
        HistogramBucketBoundaries = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    };

    private sealed class Observation(IShardCounts shard) : IDisposable
    {
        public void Dispose() => Shards.TryRemove(shard, out _);
    }

    private sealed class FabricObservation(IFabricCounts fabric) : IDisposable
    {
        public void Dispose() => Fabrics.TryRemove(fabric, out _);
    }

    private sealed class EngineObservation(IEngineCounts engine) : IDisposable
    {
        public void Dispose() => Engines.TryRemove(engine, out _);
    }
}
