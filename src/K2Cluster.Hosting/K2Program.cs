using System.Runtime.InteropServices;
using Microsoft.AspNetCore.Builder;

namespace K2Cluster.Hosting;

/// <summary>The frame of both executables: a Program.cs calls <see cref="RunAsync"/> and returns its result.</summary>
public static class K2Program
{
    /// <summary>Exit code: stopped as asked.</summary>
    public const int Stopped = 0;

    /// <summary>Exit code: could not start, or could not go on.</summary>
    public const int Failed = 1;

    /// <summary>Exit code: an option is unknown or has a value that is not allowed.</summary>
    public const int WrongUsage = 2;

    /// <summary>Runs a process of <paramref name="role"/> to its end and gives its exit code.</summary>
    /// <param name="args">The command line.</param>
    /// <param name="role">Which options there are, and what the process calls itself.</param>
    /// <param name="build">
    /// Registers services, one <see cref="IReadiness"/> among them. <see cref="K2Options"/>, <see cref="ReadinessGate"/> and
    /// <see cref="FatalFailure"/> are there already; Kestrel's addresses are set. Work of more than a moment belongs in a
    /// <see cref="Microsoft.Extensions.Hosting.BackgroundService"/>: hosted services that start slowly keep the HTTP server from answering.
    /// </param>
    /// <param name="map">Maps endpoints, /healthz, /readyz and /metrics excepted.</param>
    /// <param name="knownFailures">Further exceptions (with those derived from them) whose message is all that an operator needs.</param>
    public static async Task<int> RunAsync(string[] args, K2Role role, Action<WebApplicationBuilder, K2Options> build, Action<WebApplication, K2Options>? map = null, params Type[] knownFailures)
    {
        using K2Process process = new(role, build, map, knownFailures, Directory.GetCurrentDirectory(), Console.Out, Console.Error);

        // The first signal stops in order, also during the start; the second one ends the process at once.
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, process.OnSignal);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, process.OnSignal);
        return await process.RunAsync(args).ConfigureAwait(false);
    }
}
