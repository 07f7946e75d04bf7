using System.Diagnostics;
using System.Net.Sockets;
using K2Cluster.Tests;

namespace K2Cluster.Cluster.Tests.Membership;

/// <summary>The real server, of the Debian package, on a free port, keeping nothing.</summary>
internal sealed class RedisServer : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("k2cluster-redis-").FullName;
    private Process _process = null!;

    public int Port { get; } = FreePort.Next();

    public string Address => $"127.0.0.1:{Port}";

    public static async Task<RedisServer> StartAsync()
    {
        RedisServer server = new();
        await server.LaunchAsync();
        return server;
    }

    /// <summary>Killed, and started again with nothing.</summary>
    public async Task RestartEmptyAsync()
    {
        await KillAsync();
        await LaunchAsync();
    }

    /// <summary>Stops it, so that it answers nobody, or lets it go on.</summary>
    public async Task PauseAsync(bool paused)
    {
        using Process kill = Process.Start("kill", [paused ? "-STOP" : "-CONT", $"{_process.Id}"]);
        await kill.WaitForExitAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await KillAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task LaunchAsync()
    {
        ProcessStartInfo start = new("redis-server", ["--port", $"{Port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", _folder]) { RedirectStandardOutput = true };
        _process = Process.Start(start)!;
        _ = _process.StandardOutput.ReadToEndAsync();
        await Eventually.TrueAsync(Answers, $"redis-server on port {Port}");
    }

    private async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
        _process.Dispose();
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
