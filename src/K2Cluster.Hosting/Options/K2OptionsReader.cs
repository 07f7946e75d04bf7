using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using K2Cluster.Cluster;
using K2Cluster.Cluster.Security;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using Microsoft.Extensions.Configuration;

namespace K2Cluster.Hosting;

/// <summary>Makes <see cref="K2Options"/> from configuration: fills defaults, checks each value and how they go together.</summary>
internal sealed class K2OptionsReader(IConfiguration configuration, K2Role role)
{
    private const long Gigabyte = 1L << 30;

    /// <exception cref="K2OptionsException">A value is not allowed.</exception>
    /// <exception cref="K2FailureException">The model's directory does not exist.</exception>
    public K2Options Read()
    {
        RefuseUnknownKeys();

        string model = ReadModel();
        ClusterMode cluster = ReadMode();
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        bool insecure = Parse("Insecure", false, text => bool.TryParse(text, out bool value) ? value : null, "true or false");
        IPEndPoint listen = ParseReference("Listen", NetworkAddress.TryParse, "an IP address or localhost, with :PORT or without, such as 10.0.0.5 or 10.0.0.5:11111") ?? new IPEndPoint(IPAddress.Loopback, 0);
        HttpAddress http = ReadHttp("Http") ?? new HttpAddress(new IPEndPoint(IPAddress.Loopback, role == K2Role.Gateway ? 8080 : 0));
        ClusterCertificates? certificates = ReadCertificates();
        HttpAddress? grpc = role == K2Role.Gateway ? ReadHttp("Grpc") ?? new HttpAddress(new IPEndPoint(IPAddress.Loopback, 8081)) : null;

        if (!insecure)
        {
            RefuseBeyondLoopback("Http", http.EndPoint);
            if (certificates is null)
                RefuseBeyondLoopback("Listen", listen, "give every process of the cluster certificates (--tls-cert, --tls-key, --tls-ca), use a loopback address such as 127.0.0.1");
            if (grpc is not null)
                RefuseBeyondLoopback("Grpc", grpc.EndPoint);
        }

        return new K2Options
        {
            Role = role,
            Model = model,
            Name = ParseReference("Name", text => IsName(text, 128, "._-/:") ? text : null, "up to 128 letters, digits and . _ - / :") ?? FolderOf(model),
            Cluster = cluster,
            Redis = ReadRedis(cluster),
            ClusterId = ReadFileName("ClusterId") ?? DefaultClusterId(model),
            HasClusterIdOfPath = Value("ClusterId") is null,
            SiloName = ReadFileName("SiloName") ?? DefaultSiloName(cluster),
            Device = ParseReference("Device", DeviceChoice.TryParse, DeviceChoice.Allowed) ?? DeviceChoice.Auto,
            CpuActivations = Parse<CpuActivations>("CpuActivations", CpuActivations.Bits16, text => text.ToLowerInvariant() switch { "int16" => CpuActivations.Bits16, "int8" => CpuActivations.Bits8, _ => null }, "int16 or int8"),
            NumaDirectory = ReadNuma(),
            Memory = ReadSize("Memory") ?? Math.Max(available / 10 * 6, Gigabyte / 4),
            GpuMemory = ReadSize("Memory"),
            KvMemory = ReadSize("KvMemory") ?? Math.Clamp(available / 4, Gigabyte / 16, 16 * Gigabyte),
            PrefixCache = Parse<bool>("PrefixCache", true, text => text.ToLowerInvariant() switch { "on" => true, "off" => false, _ => null }, "on or off"),
            Speculate = ReadNumber("Speculate", 0, 0, 16),
            MaxRunning = ReadNumber("MaxRunning", 256, 1, 8192),
            MaxWaiting = ReadNumber("MaxWaiting", 1024, 1, 1_000_000),
            StepTokens = ReadNumber("StepTokens", 512, 1, 8192),
            ChunkTokens = ReadNumber("ChunkTokens", 256, 1, 8192),
            Threads = ReadNumber("Threads", Environment.ProcessorCount, 1, 1024),
            Certificates = certificates,
            Listen = listen,
            Advertise = ReadAdvertise(listen),
            Http = http,
            Grpc = grpc,
            DrainTimeout = TimeSpan.FromSeconds(ReadNumber("DrainTimeout", 60, 0, 86_400)),
            Insecure = insecure,
        };
    }

    /// <summary>Only how the cluster is found, for a tool that is no member of it.</summary>
    /// <exception cref="K2OptionsException">A value is not allowed.</exception>
    /// <exception cref="K2FailureException">The model's directory does not exist.</exception>
    public ClusterOptions ReadCluster(string toolName)
    {
        RefuseUnknownKeys();
        if ("embedded".Equals(Value("Cluster"), StringComparison.OrdinalIgnoreCase))
            throw new K2OptionsException($"{Origin("Cluster")} embedded: such a cluster is inside its gateway and has no silo to ask; ask the gateway.");
        ClusterMode cluster = ReadMode();
        return new ClusterOptions
        {
            Mode = cluster,
            ClusterId = ReadFileName("ClusterId") ?? DefaultClusterId(ReadModel("name the cluster (--cluster-id), or its processes' checkpoint")),
            SiloName = toolName,
            HostsShards = false,
            Redis = ReadRedis(cluster),
            Certificates = ReadCertificates(),
        };
    }

    private void RefuseUnknownKeys()
    {
        foreach (IConfigurationSection section in configuration.GetSection(K2OptionTable.Section).GetChildren())
        {
            if (!K2OptionTable.Entries.Any(entry => entry.Key.Equals(section.Key, StringComparison.OrdinalIgnoreCase)))
                throw new K2OptionsException($"Unknown setting {K2OptionTable.Section}:{section.Key} (environment: {K2OptionTable.Section}__{section.Key}); known are {string.Join(", ", K2OptionTable.Entries.Select(entry => entry.Key))}.");
        }
    }

    private string ReadModel(string remedy = "name a checkpoint's directory")
    {
        string? text = Value("Model");
        if (text is null)
        {
            return FindDemoModel(Directory.GetCurrentDirectory()) ?? FindDemoModel(AppContext.BaseDirectory)
                ?? throw new K2OptionsException($"--model: not given, and there is no models/k2-nano in this directory or above it; {remedy}.");
        }

        string path;
        try
        {
            path = Path.TrimEndingDirectorySeparator(Path.GetFullPath(text));
        }
        catch (ArgumentException)
        {
            throw Refused("Model", text, "the path of a directory");
        }

        return Directory.Exists(path) ? path
            : throw new K2FailureException($"{Origin("Model")} {Quote(text)}: no such directory{(File.Exists(path) ? " (it is a file)" : path == text ? "" : $" ({path})")}. It takes a checkpoint's directory, the one with config.json and *.safetensors.");
    }

    private static string? FindDemoModel(string start)
    {
        for (DirectoryInfo? folder = new(start); folder is not null; folder = folder.Parent)
        {
            string model = Path.Combine(folder.FullName, "models", "k2-nano");
            if (File.Exists(Path.Combine(model, "config.json")))
                return model;
        }

        return null;
    }

    private ClusterMode ReadMode()
    {
        string? text = Value("Cluster");
        ClusterMode kind = text?.ToLowerInvariant() switch
        {
            null => role == K2Role.Gateway ? ClusterMode.Embedded : ClusterMode.Localhost,
            "embedded" => ClusterMode.Embedded,
            "localhost" => ClusterMode.Localhost,
            "redis" => ClusterMode.Redis,
            _ => throw Refused("Cluster", text, role == K2Role.Gateway ? "embedded, localhost or redis" : "localhost or redis"),
        };
        return kind == ClusterMode.Embedded && role == K2Role.Silo
            ? throw new K2OptionsException($"{Origin("Cluster")} embedded: not for a silo, which serves gateways in other processes; use localhost or redis. (A gateway with --cluster embedded needs no silo.)")
            : kind;
    }

    private string? ReadRedis(ClusterMode cluster)
    {
        const string allowed = "HOST:PORT, such as 10.0.0.5:6379";
        string? text = Value("Redis");
        if (cluster != ClusterMode.Redis)
            return text is null || Value("Cluster") is not null ? null : throw new K2OptionsException($"{Origin("Redis")} {Quote(Shown(text))}: only used with --cluster redis; add that.");
        if (text is null)
            throw new K2OptionsException($"--cluster redis: needs --redis {allowed}.");
        return NetworkAddress.TrySplit(text.Split(',')[0]) is { Port: > 0 } ? text : throw Refused("Redis", Shown(text), allowed);

        // Options behind the comma may hold a password.
        static string Shown(string text) => text.Split(',')[0];
    }

    private string? ReadNuma() => (Value("Numa") ?? "auto") switch
    {
        "auto" => NumaTopology.SystemDirectory,
        "off" => null,
        { } directory when Path.IsPathFullyQualified(directory) => directory,
        { } other => throw Refused("Numa", other, "auto, off or the full path of a directory"),
    };

    private IPEndPoint ReadAdvertise(IPEndPoint listen)
    {
        string? text = Value("Advertise");
        bool listensEverywhere = listen.Address.Equals(IPAddress.Any) || listen.Address.Equals(IPAddress.IPv6Any);
        if (text is null && !listensEverywhere)
            return listen;

        if (NetworkAddress.TrySplit(text ?? Dns.GetHostName()) is not var (host, port))
            throw Refused("Advertise", text!, "a host name or address, with :PORT or without");
        IPAddress? address = Resolve(host, listen.AddressFamily);
        if (text is null && (address is null || IPAddress.IsLoopback(address)))
            throw new K2OptionsException($"{Origin("Listen")} {listen.Address}: every address of this machine, and which of them the others can reach is not known; add --advertise ADDRESS.");
        return address is null || address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)
            ? throw Refused("Advertise", text!, "an address, or a name that resolves to one, at which other processes reach this one")
            : new IPEndPoint(address, port);
    }

    private static IPAddress? Resolve(string host, AddressFamily family)
    {
        if (NetworkAddress.TryParse(host) is { } given)
            return given.Address;
        try
        {
            return Dns.GetHostAddresses(host).FirstOrDefault(address => address.AddressFamily == family);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private HttpAddress? ReadHttp(string key)
    {
        string? text = Value(key);
        return text is not null && text.StartsWith("https://", StringComparison.OrdinalIgnoreCase)
            ? throw new K2OptionsException($"{Origin(key)} {Quote(text)}: this version speaks no TLS itself; put a TLS proxy in front of an http:// address.")
            : ParseReference(key, HttpAddress.TryParse, HttpAddress.Allowed);
    }

    private void RefuseBeyondLoopback(string key, IPEndPoint endPoint, string remedy = "use a loopback address such as 127.0.0.1")
    {
        if (!IPAddress.IsLoopback(endPoint.Address))
            throw new K2OptionsException($"{Origin(key)} {Quote(Value(key)!)}: beyond this machine, without TLS and keys, anybody who reaches the port can use it; {remedy}, or allow it with --insecure.");
    }

    private ClusterCertificates? ReadCertificates()
    {
        string[] keys = ["TlsCert", "TlsKey", "TlsCa"];
        string[] missing = [.. keys.Where(key => Value(key) is null)];
        if (missing.Length == keys.Length)
            return null;
        if (missing.Length > 0)
            throw new K2OptionsException($"{Origin(keys.Except(missing).First())}: certificates need --tls-cert, --tls-key and --tls-ca, all three; add {string.Join(" and ", missing.Select(Origin))}.");
        try
        {
            return ClusterCertificates.Load(Value("TlsCert")!, Value("TlsKey")!, Value("TlsCa")!);
        }
        catch (ClusterException exception)
        {
            throw new K2OptionsException(exception.Message.ReplaceLineEndings(" "));
        }
    }

    private long? ReadSize(string key)
    {
        string? text = Value(key);
        return text is null ? null : ByteSize.TryParse(text, out long bytes) ? bytes : throw Refused(key, text, ByteSize.Allowed);
    }

    private int ReadNumber(string key, int fallback, int least, int most) =>
        Parse(key, fallback, text => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least && value <= most ? value : null, $"a number from {least} to {most}");

    private string? ReadFileName(string key) =>
        ParseReference(key, text => IsName(text, 64, "._-") && text[0] != '.' ? text : null, "up to 64 letters, digits and . _ -, not starting with a dot");

    private static bool IsName(string text, int longest, string punctuation) =>
        text.Length >= 1 && text.Length <= longest && text.All(character => char.IsAsciiLetterOrDigit(character) || punctuation.Contains(character));

    private static string FolderOf(string model) => Sanitise(Path.GetFileName(model));

    private static string Sanitise(string name)
    {
        string safe = string.Concat(name.Take(40).Select(character => IsName(character.ToString(), 1, "._-") ? character : '-')).TrimStart('.');
        return safe.Length == 0 ? "model" : safe;
    }

    private static string DefaultClusterId(string model) =>
        $"{FolderOf(model)}-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(model)).AsSpan(0, 4))}";

    private string DefaultSiloName(ClusterMode cluster)
    {
        string host = Sanitise(Environment.MachineName);
        string name = role == K2Role.Gateway && cluster != ClusterMode.Embedded ? $"gateway-{host}" : host;
        return cluster == ClusterMode.Embedded ? name : $"{name}-{RandomNumberGenerator.GetHexString(6, lowercase: true)}";
    }

    private T Parse<T>(string key, T fallback, Func<string, T?> parse, string allowed)
        where T : struct =>
        Value(key) is not { } text ? fallback : parse(text) ?? throw Refused(key, text, allowed);

    private T? ParseReference<T>(string key, Func<string, T?> parse, string allowed)
        where T : class =>
        Value(key) is not { } text ? null : parse(text) ?? throw Refused(key, text, allowed);

    /// <summary>The value as written; null when there is none. An empty environment variable counts as none, an empty argument does not.</summary>
    private string? Value(string key)
    {
        string? text = configuration[$"{K2OptionTable.Section}:{key}"]?.Trim();
        return text?.Length == 0 && !IsFromCommandLine(key) ? null : text;
    }

    private K2OptionsException Refused(string key, string text, string allowed) => new($"{Origin(key)} {Quote(text)}: expected {allowed}.");

    private static string Quote(string text) => text.Length == 0 ? "\"\"" : text.Length <= 200 ? text.ReplaceLineEndings(" ") : $"{text.AsSpan(0, 200)}…";

    /// <summary>Names the option as the operator wrote it: "--model" or, when the value came from elsewhere, "K2__Model" or "K2:Model".</summary>
    private string Origin(string key)
    {
        string name = K2OptionTable.Entries.First(entry => entry.Key == key).Name;
        return Provider(key) switch
        {
            null or K2CommandLineProvider => name,
            Microsoft.Extensions.Configuration.EnvironmentVariables.EnvironmentVariablesConfigurationProvider => $"{K2OptionTable.Section}__{key} ({name})",
            _ => $"{K2OptionTable.Section}:{key} ({name})",
        };
    }

    private bool IsFromCommandLine(string key) => Provider(key) is K2CommandLineProvider;

    private IConfigurationProvider? Provider(string key) =>
        (configuration as IConfigurationRoot)?.Providers.Reverse().FirstOrDefault(provider => provider.TryGet($"{K2OptionTable.Section}:{key}", out _));
}
