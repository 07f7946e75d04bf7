using System.Diagnostics;
using System.Net.Sockets;
using K2Cluster.Tests;

namespace K2Cluster.Cluster.Tests.Membership;

/// <summary>The real server, of the Debian package, on a free port, keeping nothing.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly Process _process;
    private readonly string _folder;

    private RedisServer(Process process, string folder, int port) => (_process, _folder, Port) = (process, folder, port);

    public int Port { get; }

    public string Address => $"127.0.0.1:{Port}";

    public static async Task<RedisServer> StartAsync()
    {
        string folder = Directory.CreateTempSubdirectory("k2cluster-redis-").FullName;
        int port = FreePort.Next();
        ProcessStartInfo start = new("redis-server", ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder]) { RedirectStandardOutput = true };
        Process process = Process.Start(start)!;
        _ = process.StandardOutput.ReadToEndAsync();
        RedisServer server = new(process, folder, port);
        await Eventually.TrueAsync(server.Answers, $"redis-server on port {port}");
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private bool Answers()
    {
        try
        {
            using TcpClient client = new("127.0.0.1", Port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
