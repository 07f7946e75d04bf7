namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>Gateways and silos of one cluster on this machine, each a process of its own.</summary>
internal sealed class LocalCluster : IAsyncDisposable
{
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(60);

    private readonly string _model;
    private readonly string[] _membership;
    private readonly IReadOnlyDictionary<string, string>? _environment;
    private readonly List<GatewayProcess> _more = [];

    private LocalCluster(string model, string[] membership, IReadOnlyDictionary<string, string>? environment)
    {
        _model = model;
        _membership = membership;
        _environment = environment;
    }

    public GatewayProcess Gateway { get; private set; } = null!;

    public Dictionary<string, ChildProcess> Silos { get; } = [];

    /// <summary>Gateways beside the first one, in the order of their start; those that are gone, too.</summary>
    public IReadOnlyList<GatewayProcess> MoreGateways => _more;

    /// <summary>Starts silos and gateways at once, under a cluster id of its own, and waits until all are ready; without silos, for nothing.</summary>
    public static async Task<LocalCluster> StartAsync(string model, int silos, string[]? membership = null, IReadOnlyDictionary<string, string>? environment = null, Func<int, string[]>? siloOptions = null, int moreGateways = 0, string[]? gatewayOptions = null)
    {
        string[] cluster = [.. membership ?? ["--cluster", "localhost"], "--cluster-id", $"test-{Guid.NewGuid():n}"];
        LocalCluster started = new(model, cluster, environment);
        try
        {
            for (int i = 0; i < silos; i++)
                started.LaunchSilo($"silo-{i}", siloOptions?.Invoke(i) ?? []);
            started.Gateway = GatewayProcess.Start(model, [.. cluster, .. gatewayOptions ?? []], environment);
            for (int i = 0; i < moreGateways; i++)
                started.LaunchGateway();
            await Task.WhenAll(started.Silos.Values.Select(WaitUntilReadyAsync));
            if (silos > 0)
                await Task.WhenAll(started._more.Prepend(started.Gateway).Select(gateway => gateway.WaitUntilReadyAsync()));
            return started;
        }
        catch
        {
            await started.DisposeAsync();
            throw;
        }
    }

    public ChildProcess LaunchSilo(string name, params string[] options)
    {
        string[] device = options.Contains("--device") ? [] : ["--device", "cpu"];
        string[] model = options.Contains("--model") ? [] : ["--model", _model];
        ChildProcess silo = Programs.Start("silo", "K2Cluster.Silo", [.. model, "--silo-name", name, .. device, .. _membership, .. options], _environment);
        Silos[name] = silo;
        return silo;
    }

    public static Task<string> WaitUntilReadyAsync(ChildProcess silo) => silo.WaitForLineAsync(line => line.StartsWith("K2Cluster silo ready", StringComparison.Ordinal), StartLimit);

    /// <summary>Starts one more gateway and does not wait; at the addresses of one that is gone, where that is given.</summary>
    public GatewayProcess LaunchGateway(GatewayProcess? inPlaceOf = null, string? model = null)
    {
        GatewayProcess gateway = GatewayProcess.Start(model ?? _model, _membership, _environment, inPlaceOf);
        _more.Add(gateway);
        return gateway;
    }

    /// <summary>Starts another gateway in place of one that is gone.</summary>
    public async Task RestartGatewayAsync()
    {
        await Gateway.DisposeAsync();
        Gateway = await GatewayProcess.StartReadyAsync(_model, _membership, _environment);
    }

    public async ValueTask DisposeAsync()
    {
        if (Gateway is not null)
            await Gateway.DisposeAsync();
        foreach (GatewayProcess gateway in _more)
            await gateway.DisposeAsync();
        foreach (ChildProcess silo in Silos.Values)
            await silo.DisposeAsync();
    }
}
