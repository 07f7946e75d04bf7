using System.Diagnostics;

namespace K2Cluster.Faults.Hosts;

/// <summary>
/// Hosts on a network of their own: network namespaces behind a bridge, each with an address, and a cable that can be pulled.
/// Needs root and iproute2. The machine itself is the bridge's address.
/// </summary>
internal sealed class Network : IDisposable
{
    private readonly string _id = $"{Environment.ProcessId % 10_000}";
    private readonly List<Host> _hosts = [];

    public Network()
    {
        Ip("link", "add", Bridge, "type", "bridge");
        Ip("addr", "add", $"{Subnet}.1/24", "dev", Bridge);
        Ip("link", "set", Bridge, "up");
    }

    /// <summary>Where this machine is reached by the hosts.</summary>
    public static string Address => $"{Subnet}.1";

    private string Bridge => $"k2f{_id}";

    private static string Subnet => "10.213.77";

    /// <summary>Whether namespaces can be made here, by trying.</summary>
    public static bool IsPossible()
    {
        string name = $"k2try{Environment.ProcessId}";
        if (!TryIp("netns", "add", name))
            return false;
        return TryIp("netns", "del", name);
    }

    public Host Add(string name)
    {
        int number = _hosts.Count + 2;
        Host host = new(name, $"{Subnet}.{number}", $"k2f{_id}-{number}");
        _hosts.Add(host);
        Ip("netns", "add", host.Namespace!);
        Ip("link", "add", Cable(host), "type", "veth", "peer", "name", "eth0", "netns", host.Namespace!);
        Ip("link", "set", Cable(host), "master", Bridge);
        Ip("link", "set", Cable(host), "up");
        In(host, "addr", "add", $"{host.Address}/24", "dev", "eth0");
        In(host, "link", "set", "eth0", "up");
        In(host, "link", "set", "lo", "up");
        return host;
    }

    /// <summary>Pulls the host's cable: nothing comes or goes, and nobody is told.</summary>
    public void Cut(Host host) => Ip("link", "set", Cable(host), "nomaster");

    public void Mend(Host host) => Ip("link", "set", Cable(host), "master", Bridge);

    public void Dispose()
    {
        foreach (Host host in _hosts)
            TryIp("netns", "del", host.Namespace!);
        TryIp("link", "del", Bridge);
    }

    private string Cable(Host host) => $"k2v{_id}-{host.Address.Split('.')[^1]}";

    private static void In(Host host, params string[] arguments) => Ip(["-n", host.Namespace!, .. arguments]);

    private static void Ip(params string[] arguments)
    {
        if (!TryIp(arguments))
            throw new InvalidOperationException($"ip {string.Join(' ', arguments)} failed: making network namespaces takes root and iproute2.");
    }

    private static bool TryIp(params string[] arguments)
    {
        try
        {
            using Process process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardError = true, RedirectStandardOutput = true })!;
            process.WaitForExit();
            return process.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
