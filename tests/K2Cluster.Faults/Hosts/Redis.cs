using K2Cluster.EndToEnd.Tests.Processes;

namespace K2Cluster.Faults.Hosts;

/// <summary>A Redis that keeps what it has on disk, so that it may be killed and come back.</summary>
internal sealed class Redis : IAsyncDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    private readonly string[] _command;
    private readonly string _folder;
    private ChildProcess _process = null!;

    private Redis(string address, int port, string folder)
    {
        _folder = folder;
        _command = ["--port", $"{port}", "--bind", address, "--protected-mode", "no", "--appendonly", "yes", "--appendfsync", "always", "--dir", folder];
    }

    public static async Task<Redis> StartAsync(string address, int port, string folder)
    {
        Redis redis = new(address, port, folder);
        await redis.StartAgainAsync();
        return redis;
    }

    public async Task StartAgainAsync()
    {
        _process = ChildProcess.Start("redis-server", _command, workingDirectory: _folder);
        await _process.WaitForLineAsync(line => line.Contains("Ready to accept connections", StringComparison.Ordinal), Limit);
    }

    public Task KillAsync() => _process.KillAsync();

    public ValueTask DisposeAsync() => _process.DisposeAsync();
}
