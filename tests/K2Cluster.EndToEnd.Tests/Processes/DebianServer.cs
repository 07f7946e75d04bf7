using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>A server from a Debian package, started by the test itself on a free port with a folder of its own.</summary>
internal static class DebianServer
{
    public static async Task<(ChildProcess Process, int Port)> StartRedisAsync(int? at = null)
    {
        int port = at ?? FreePort.Next();
        ChildProcess redis = ChildProcess.Start(Find("redis-server"), ["--port", $"{port}", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"], workingDirectory: Folder());
        await redis.WaitForLineAsync(line => line.Contains("Ready to accept connections", StringComparison.Ordinal), TimeSpan.FromSeconds(20));
        return (redis, port);
    }

    public static async Task<(ChildProcess Process, int Port)> StartPrometheusAsync(string configuration)
    {
        int port = FreePort.Next();
        string folder = Folder();
        string file = Path.Combine(folder, "prometheus.yml");
        await File.WriteAllTextAsync(file, configuration);
        ChildProcess prometheus = ChildProcess.Start(
            Find("prometheus"),
            [$"--config.file={file}", $"--storage.tsdb.path={folder}/data", $"--web.listen-address=127.0.0.1:{port}"],
            workingDirectory: folder);
        await prometheus.WaitForLineAsync(line => line.Contains("Server is ready to receive web requests", StringComparison.Ordinal), TimeSpan.FromSeconds(30));
        return (prometheus, port);
    }

    private static string Folder() => Directory.CreateTempSubdirectory("k2-test-").FullName;

    private static string Find(string program) =>
        ServerFactAttribute.Find(program) ?? throw new FileNotFoundException($"{program} is not installed: apt-get install {program} (as .ci/run does).");
}
