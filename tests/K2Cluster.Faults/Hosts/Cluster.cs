using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.Faults.Hosts;

/// <summary>Gateways and silos of one cluster, each a process, perhaps on a host of its own.</summary>
internal sealed class Cluster : IAsyncDisposable
{
#if DEBUG
    private const string Configuration = "Debug";
#else
    private const string Configuration = "Release";
#endif

    private const int SignalStop = 19;
    private const int SignalContinue = 18;

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(90);

    private readonly string _model;
    private readonly string[] _membership;
    private readonly IReadOnlyDictionary<string, string> _environment;
    private readonly Dictionary<string, string[]> _options = [];
    private readonly TestAuthority _authority = new();

    /// <param name="model">The checkpoint.</param>
    /// <param name="membership">--cluster and what belongs to it.</param>
    /// <param name="environment">Of every process.</param>
    public Cluster(string model, IEnumerable<string> membership, IReadOnlyDictionary<string, string>? environment = null)
    {
        _model = model;
        _membership = [.. membership, "--cluster-id", $"faults-{Guid.NewGuid():n}"];
        _environment = environment ?? new Dictionary<string, string>();
    }

    public Dictionary<string, Gateway> Gateways { get; } = [];

    public Dictionary<string, ChildProcess> Silos { get; } = [];

    /// <summary>Starts a silo with faults (see the faulty silo's settings), or again one that is gone.</summary>
    public ChildProcess LaunchSilo(Host host, string name, string faults = "", params string[] options)
    {
        if (options.Length > 0)
            _options[name] = options;
        string program = Repository.Path("tests", "K2Cluster.FaultySilo", "bin", Configuration, "net10.0", "K2Cluster.FaultySilo.dll");
        string[] command = ["dotnet", program, "--model", _model, "--silo-name", name, "--device", "cpu", "--threads", "1", .. Listen(host, name), .. _membership, .. _options.GetValueOrDefault(name, [])];
        ChildProcess silo = host.Start(command, new Dictionary<string, string>(_environment) { ["K2_FAULTS"] = faults });
        Silos[name] = silo;
        return silo;
    }

    public static Task WaitUntilReadyAsync(ChildProcess process) => process.WaitForLineAsync(line => line.StartsWith("K2Cluster ", StringComparison.Ordinal) && line.Contains(" ready: ", StringComparison.Ordinal), StartLimit);

    public Gateway LaunchGateway(Host host, string name, params string[] options) =>
        LaunchGateway(host, name, new Uri($"http://{host.Address}:{FreePort.Next()}"), new Uri($"http://{host.Address}:{FreePort.Next()}"), options);

    /// <summary>Starts a gateway on this machine again, at its addresses.</summary>
    public async Task<Gateway> RelaunchGatewayAsync(string name)
    {
        Gateway gone = Gateways[name];
        (Uri http, Uri grpc) = (gone.Http.BaseAddress!, gone.Grpc);
        await gone.DisposeAsync();
        return LaunchGateway(Host.Local, name, http, grpc, []);
    }

    private Gateway LaunchGateway(Host host, string name, Uri http, Uri grpc, string[] options)
    {
        string program = Repository.Path("gateway", "bin", Configuration, "net10.0", "K2Cluster.Gateway.dll");
        string[] command = ["dotnet", program, "--model", _model, "--silo-name", name, "--http", Origin(http), "--grpc", Origin(grpc), .. Listen(host, name), .. _membership, .. options];
        if (host.Namespace is not null)
            command = [.. command, "--insecure"]; // for its API; cluster traffic has certificates
        Gateway gateway = new(host.Start(command, _environment), http, grpc);
        Gateways[name] = gateway;
        return gateway;
    }

    /// <summary>SIGSTOP: alive and silent.</summary>
    public static void Freeze(ChildProcess process) => Signal(process, SignalStop);

    public static void Thaw(ChildProcess process) => Signal(process, SignalContinue);

    public async ValueTask DisposeAsync()
    {
        foreach (ChildProcess silo in Silos.Values.Where(silo => !silo.HasExited))
            Thaw(silo);
        foreach (Gateway gateway in Gateways.Values)
            await gateway.DisposeAsync();
        foreach (ChildProcess silo in Silos.Values)
            await silo.DisposeAsync();
        _authority.Dispose();
    }

    /// <summary>A host with an address of its own is beyond loopback: there cluster traffic takes certificates.</summary>
    private string[] Listen(Host host, string name)
    {
        if (host.Namespace is null)
            return [];
        (string certificate, string key) = _authority.Sign(name);
        return ["--listen", host.Address, "--tls-cert", certificate, "--tls-key", key, "--tls-ca", _authority.File];
    }

    private static string Origin(Uri uri) => uri.GetLeftPart(UriPartial.Authority);

    private static void Signal(ChildProcess process, int signal)
    {
        if (!process.TrySignal(signal))
            throw new InvalidOperationException($"Signal {signal} could not be sent to process {process.Id}.");
    }
}
