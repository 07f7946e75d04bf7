using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Processes;

/// <summary>Starts our own executables as they were built beside the tests.</summary>
internal static class Programs
{
#if DEBUG
    private const string Configuration = "Debug";
#else
    private const string Configuration = "Release";
#endif

    public static string Nano => Repository.Path("models", "k2-nano");

    /// <summary>What gives a process GPUs that do not exist: the fake driver, which runs the kernels' PTX; that the kernels use shared memory as they may is left to the emulator's own tests. <paramref name="each"/> is more of the settings of each GPU.</summary>
    public static IReadOnlyDictionary<string, string> FakeGpus(params string[] each) => new Dictionary<string, string>
    {
        ["DOTNET_STARTUP_HOOKS"] = Repository.Path("tests", "K2Cluster.PtxEmulator", "bin", Configuration, "net10.0", "K2Cluster.PtxEmulator.dll"),
        ["K2_FAKE_GPUS"] = string.Join(';', each.Select(more => $"memory=64MiB,sms=2,threads=128,check=0{more}")),
    };

    public static ChildProcess Start(string project, string assembly, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        string path = Repository.Path(project, "bin", Configuration, "net10.0", assembly + ".dll");
        return ChildProcess.Start("dotnet", [path, .. arguments], environment);
    }

    public static ChildProcess Cli(params string[] arguments) => Start("src/K2Cluster.Cli", "k2", arguments);
}
