using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using K2Cluster.PtxEmulator.FakeDriver;

/// <summary>
/// Gives a process of its own the fake driver: <c>DOTNET_STARTUP_HOOKS=…/K2Cluster.PtxEmulator.dll</c> and
/// <c>K2_FAKE_GPUS</c> as <see cref="FakeGpuSettings"/> reads it. The runtime asks for this name outside any namespace.
/// </summary>
#pragma warning disable CA1050 // see above
internal static class StartupHook
#pragma warning restore CA1050
{
    public static void Initialize()
    {
        if (Environment.GetEnvironmentVariable("K2_FAKE_GPUS") is not { Length: > 0 } gpus)
            return;
        string folder = Path.GetDirectoryName(typeof(StartupHook).Assembly.Location)!;
        AssemblyLoadContext.Default.Resolving += (context, name) => Resolve(context, name, folder);
        Install(gpus);
    }

    /// <summary>Apart, so that nothing of the binding is loaded before it can be found.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Install(string gpus) => FakeGpuSettings.Install(gpus);

    /// <summary>The process's own assemblies come first; what it lacks lies beside this one.</summary>
    private static Assembly? Resolve(AssemblyLoadContext context, AssemblyName name, string folder)
    {
        string path = Path.Combine(folder, name.Name + ".dll");
        return File.Exists(path) ? context.LoadFromAssemblyPath(path) : null;
    }
}
