using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Cluster;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Logging.Console;
using StackExchange.Redis;

namespace K2Cluster.Hosting;

/// <summary>
/// One run of an executable: options → services → start → wait until ready → one line on stdout → run until told to stop →
/// finish what was begun.
/// Logs go to stderr. Exit codes: 0 stopped as asked (SIGTERM, SIGINT), 1 failed, 2 wrong usage.
/// </summary>
internal sealed partial class K2Process : IDisposable
{
    public const int Stopped = 0;
    public const int Failed = 1;
    public const int WrongUsage = 2;

    private static readonly TimeSpan ProgressInterval = TimeSpan.FromSeconds(3);

    /// <summary>Failures whose message says enough: no stack, no type.</summary>
    private static readonly Type[] KnownFailures =
    [
        typeof(K2FailureException), typeof(K2OptionsException), typeof(CheckpointException), typeof(RedisException),
        typeof(IOException), typeof(SocketException), typeof(UnauthorizedAccessException),
    ];

    /// <summary>Of others, warnings only; nothing of the host about failures that end the process: those are told once, by us.</summary>
    private static readonly KeyValuePair<string, string?>[] LogLevels =
    [
        new("Logging:LogLevel:Default", "Warning"),
        new("Logging:LogLevel:Microsoft.Extensions.Hosting.Internal.Host", "None"),

        // Orleans says of a failed start what the cause says, three times more; of a workstation's collector that it should be a
        // server's; of its retries each one; of a silo that died each call that was under way, which its caller is told and logs
        // once; and its watchdog's first look counts from the machine's start.
        new("Logging:LogLevel:Orleans.Runtime.Silo", "None"),
        new("Logging:LogLevel:Orleans.Runtime.SiloLifecycleSubject", "None"),
        new("Logging:LogLevel:Polly", "None"),
        new("Logging:LogLevel:Orleans.Runtime.Watchdog", "Error"),
        new("Logging:LogLevel:Orleans.Messaging", "Critical"),
        new("Logging:LogLevel:K2Cluster", "Information"),
    ];

    /// <summary>What the parts of the process have for leaving in order, once they have drained.</summary>
    private static readonly TimeSpan ShutdownTimeout = TimeSpan.FromSeconds(30);

    /// <summary>After this, parts that do not keep to <see cref="ShutdownTimeout"/> are left behind.</summary>
    private static readonly TimeSpan StopLimit = ShutdownTimeout + TimeSpan.FromSeconds(10);

    /// <summary>The same for a process that ends because of a failure: its cluster may be gone, and Orleans would go on looking for it.</summary>
    private static readonly TimeSpan FailedStopLimit = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan DisposeLimit = TimeSpan.FromSeconds(5);

    private readonly K2Role _role;
    private readonly Action<WebApplicationBuilder, K2Options> _build;
    private readonly Action<WebApplication, K2Options>? _map;
    private readonly Type[] _knownFailures;
    private readonly string _folder;
    private readonly TextWriter _output;
    private readonly TextWriter _error;
    private readonly CancellationTokenSource _stop = new();
    private long _signalled;
    private ListenSockets? _sockets;
    private ILogger _log = NullLogger.Instance;

    // folder is where appsettings.json is looked for.
    public K2Process(K2Role role, Action<WebApplicationBuilder, K2Options> build, Action<WebApplication, K2Options>? map, IEnumerable<Type> knownFailures, string folder, TextWriter output, TextWriter error)
    {
        (_role, _build, _map, _folder, _output, _error) = (role, build, map, folder, output, error);
        _knownFailures = [.. KnownFailures, .. knownFailures];
    }

    private string Name => _role == K2Role.Gateway ? "gateway" : "silo";

    /// <summary>Asks the process to stop, as a signal does.</summary>
    public void Stop() => _stop.Cancel();

    public void OnSignal(PosixSignalContext signal)
    {
        long now = Stopwatch.GetTimestamp();
        long first = Interlocked.CompareExchange(ref _signalled, now, 0);

        // One wish to stop may come twice, from a terminal's process group and from `dotnet run`: the second counts after a moment.
        signal.Cancel = first == 0 || Stopwatch.GetElapsedTime(first, now) < TimeSpan.FromSeconds(1);
        _stop.Cancel();
    }

    public void Dispose()
    {
        _sockets?.Dispose();
        _stop.Dispose();
    }

    public async Task<int> RunAsync(string[] args)
    {
        WebApplication? app = null;
        try
        {
            if (!new K2CommandLine(_role).TryRead(args, _output, out Dictionary<string, string?>? values, out int exitCode))
                return exitCode;

            app = Build(values);
            return await RunAsync(app).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            return K2Program.Stopped;
        }
        catch (K2OptionsException exception)
        {
            Write(_error, $"{exception.Message} See --help.");
            return K2Program.WrongUsage;
        }
        catch (Exception exception)
        {
            return Fail(exception);
        }
        finally
        {
            if (app is not null)
                await DisposeAsync(app).ConfigureAwait(false);
        }
    }

    private static async Task DisposeAsync(WebApplication app)
    {
        try
        {
            await app.DisposeAsync().AsTask().WaitAsync(DisposeLimit).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // What hangs was stopping already, and said so; the process ends all the same.
        }
    }

    private WebApplication Build(Dictionary<string, string?> values)
    {
        // The empty builder: no file watchers, no event logs, no HTTPS, and nothing to look up that is not used.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = $"K2Cluster.{_role}" });
        try
        {
            builder.Configuration
                .AddInMemoryCollection(LogLevels)
                .AddJsonFile(Path.Combine(_folder, "appsettings.json"), optional: true, reloadOnChange: false)
                .AddEnvironmentVariables()
                .Add(new K2CommandLineSource(values));
        }
        catch (InvalidDataException exception)
        {
            throw new K2OptionsException($"{Path.Combine(_folder, "appsettings.json")}: {exception.GetBaseException().Message}");
        }

        K2Options options = new K2OptionsReader(builder.Configuration, _role).Read();

        builder.Logging.AddConfiguration(builder.Configuration.GetSection("Logging"));
        builder.Logging.AddConsole(console =>
        {
            console.FormatterName = LogLine.FormatterName;
            console.LogToStandardErrorThreshold = LogLevel.Trace;
        });
        builder.Services.AddSingleton<ConsoleFormatter>(new LogLine(stacks: LogsDebug(builder.Configuration)));

        _sockets = ListenSockets.Bind(options.Grpc is null ? [options.Http] : [options.Http, options.Grpc]);
        builder.Services.Configure<SocketTransportOptions>(transport => transport.CreateBoundListenSocket = _sockets.Take);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;

            // Plain text cannot negotiate: HTTP/1.1 and HTTP/2 each need a port of their own.
            Listen(kestrel, options.Http, HttpProtocols.Http1);
            if (options.Grpc is not null)
                Listen(kestrel, options.Grpc, HttpProtocols.Http2);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton<ReadinessGate>();
        builder.Services.AddSingleton<FatalFailure>();
        builder.Services.AddSingleton<BoundAddresses>();
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = ShutdownTimeout);
        builder.Services.Replace(ServiceDescriptor.Singleton<IHostLifetime, SignalLifetime>());
        builder.Services.AddK2Telemetry(builder.Configuration, options);
        _build(builder, options);

        WebApplication app = builder.Build();
        _log = app.Services.GetRequiredService<ILogger<K2Process>>();
        app.MapK2Health();
        _map?.Invoke(app, options);
        return app;
    }

    private static bool LogsDebug(ConfigurationManager configuration) =>
        Enum.TryParse(configuration["Logging:LogLevel:K2Cluster"], ignoreCase: true, out LogLevel level) && level <= LogLevel.Debug;

    private static void Listen(KestrelServerOptions kestrel, HttpAddress address, HttpProtocols protocols) =>
        kestrel.Listen(address.EndPoint, listen =>
        {
            listen.Protocols = protocols;
            kestrel.ApplicationServices.GetRequiredService<BoundAddresses>().Add(listen);
        });

    private async Task<int> RunAsync(WebApplication app)
    {
        ReadinessGate gate = app.Services.GetRequiredService<ReadinessGate>();
        CancellationToken stopping = app.Lifetime.ApplicationStopping;
        Exception? failure = null;
        try
        {
            // A start is broken off; what runs is drained.
            using (_stop.Token.Register(app.Lifetime.StopApplication))
                await StartAsync(app, gate, stopping).ConfigureAwait(false);
            using CancellationTokenSource asked = CancellationTokenSource.CreateLinkedTokenSource(stopping, _stop.Token);
            await Task.Delay(Timeout.Infinite, asked.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await DrainAsync(app, gate, stopping).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
        catch (Exception exception) when (_stop.IsCancellationRequested)
        {
            // A start that is interrupted ends in whatever way its parts do; the stop was asked for.
            LogStoppedHalfway(_log, exception);
        }
        catch (Exception exception)
        {
            failure = exception;
        }

        failure ??= app.Services.GetRequiredService<FatalFailure>().Exception;
        gate.Stop();
        LogStopping(_log);
        try
        {
            // Also after a failure: leaving the cluster in order spares the others the detection. Parts that ignore
            // HostOptions.ShutdownTimeout, as Orleans does when its membership store is gone, are not waited for.
            await app.StopAsync(CancellationToken.None).WaitAsync(failure is null ? StopLimit : FailedStopLimit).ConfigureAwait(false);
        }
        catch (Exception exception) when (failure is not null || _stop.IsCancellationRequested || exception is OperationCanceledException or TimeoutException)
        {
            if (failure is null)
                LogStoppedHalfway(_log, exception);
            else
                LogFailed(_log, exception);
        }

        failure ??= app.Services.GetRequiredService<FatalFailure>().Exception ?? BackgroundFailure(app);
        return failure is null ? K2Program.Stopped : Fail(failure);
    }

    /// <summary>Finishes what was begun, for as long as the operator allows; a failure that ends the process ends this, too.</summary>
    private async Task DrainAsync(WebApplication app, ReadinessGate gate, CancellationToken stopping)
    {
        TimeSpan limit = app.Services.GetRequiredService<K2Options>().DrainTimeout;
        if (limit == TimeSpan.Zero || stopping.IsCancellationRequested)
            return;
        gate.Drain();
        LogDraining(_log, limit.TotalSeconds);
        using CancellationTokenSource timeIsUp = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        timeIsUp.CancelAfter(limit);
        try
        {
            await Task.WhenAll(app.Services.GetServices<IDrain>().Select(part => part.DrainAsync(timeIsUp.Token))).WaitAsync(timeIsUp.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (timeIsUp.IsCancellationRequested)
        {
            if (!stopping.IsCancellationRequested)
                LogDrainTimeout(_log, limit.TotalSeconds);
        }
        catch (Exception exception)
        {
            LogDrainFailed(_log, exception);
        }
    }

    private async Task StartAsync(WebApplication app, ReadinessGate gate, CancellationToken stopping)
    {
        K2Options options = app.Services.GetRequiredService<K2Options>();
        string doing = Doing(options);
        string version = TelemetryExport.Version();
        LogStarting(_log, Name, version, options.SiloName, doing);
        if (options.Cluster == ClusterMode.Redis && options.HasClusterIdOfPath)
            LogClusterIdOfPath(_log, options.ClusterId, options.Model);
        if (options.Insecure)
        {
            string addresses = ListensBeyondLoopback(options);
            LogInsecure(_log, addresses);
        }

        using CancellationTokenSource ready = CancellationTokenSource.CreateLinkedTokenSource(stopping);
        Task progress = LogProgressAsync(gate, ready.Token);
        try
        {
            await app.StartAsync(stopping).ConfigureAwait(false);
            await app.Services.GetRequiredService<IReadiness>().WaitAsync(stopping).ConfigureAwait(false);
        }
        finally
        {
            await ready.CancelAsync().ConfigureAwait(false);
            await progress.ConfigureAwait(false);
        }

        gate.Open();
        Write(_output, ReadyLine(options, app.Services.GetRequiredService<BoundAddresses>(), gate.Reason));
    }

    /// <summary>The host stops when a background service throws, but does not say which or why.</summary>
    private static Exception? BackgroundFailure(WebApplication app) =>
        app.Services.GetServices<IHostedService>().OfType<BackgroundService>()
            .Select(service => service.ExecuteTask?.Exception?.GetBaseException())
            .FirstOrDefault(exception => exception is not null);

    private string ReadyLine(K2Options options, BoundAddresses addresses, string served)
    {
        string grpc = options.Grpc is null ? "" : $" (gRPC http://{addresses[1]})";
        string silo = _role == K2Role.Silo ? $", silo {options.SiloName}" : "";
        string cluster = options.Cluster == ClusterMode.Embedded ? "" : $", cluster {options.ClusterId}";
        return $"K2Cluster {Name} ready: http://{addresses[0]}{grpc}, model {options.Name}{silo}, {served}{cluster}";
    }

    private static string Doing(K2Options options) => options.Cluster switch
    {
        ClusterMode.Embedded => $"loading {options.Model}",
        ClusterMode.Redis => $"joining cluster {options.ClusterId} (redis at {options.Redis!.Split(',')[0]})", // options behind the comma may hold a password
        _ => $"joining cluster {options.ClusterId} (on this machine)",
    };

    private static string ListensBeyondLoopback(K2Options options)
    {
        List<string> addresses = [];
        if (!options.Http.IsLoopback)
            addresses.Add($"HTTP on {options.Http}");
        if (options.Grpc is { IsLoopback: false })
            addresses.Add($"gRPC on {options.Grpc}");
        if (options.Certificates is null && !IPAddress.IsLoopback(options.Listen.Address))
            addresses.Add($"cluster traffic on {options.Listen}");
        return addresses.Count > 0 ? string.Join(", ", addresses) : "none so far, every address is this machine's own or has TLS";
    }

    private async Task LogProgressAsync(ReadinessGate gate, CancellationToken ready)
    {
        using PeriodicTimer timer = new(ProgressInterval);
        try
        {
            while (await timer.WaitForNextTickAsync(ready).ConfigureAwait(false))
            {
                string reason = gate.Reason;
                LogNotReady(_log, reason);
            }
        }
        catch (OperationCanceledException)
        {
        }
    }

    private int Fail(Exception exception)
    {
        string message = Known(exception) is { } known
            ? known.Message.ReplaceLineEndings(" ")
            : $"{exception.GetType().FullName}: {exception.Message.ReplaceLineEndings(" ")} (unexpected; its stack is in the log at level debug: set Logging__LogLevel__K2Cluster=Debug)";
        LogFailed(_log, exception);
        Write(_error, $"K2Cluster {Name} failed: {message}");
        return K2Program.Failed;
    }

    /// <summary>The outermost known failure among the exception and its causes.</summary>
    private Exception? Known(Exception exception)
    {
        for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (_knownFailures.Any(type => type.IsInstanceOfType(cause)))
                return cause;
        }

        return null;
    }

    private static void Write(TextWriter writer, string line)
    {
        writer.WriteLine(line);
        writer.Flush();
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "K2Cluster {Role} {Version}, {Silo}: {Doing}")]
    private static partial void LogStarting(ILogger logger, string role, string version, string silo, string doing);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No --cluster-id: it is {ClusterId}, from the path of the model ({Model}); processes with another path form another cluster")]
    private static partial void LogClusterIdOfPath(ILogger logger, string clusterId, string model);

    [LoggerMessage(Level = LogLevel.Warning, Message = "--insecure: no TLS and no keys, so whoever reaches an address can use it: {Addresses}")]
    private static partial void LogInsecure(ILogger logger, string addresses);

    [LoggerMessage(Level = LogLevel.Information, Message = "Not ready: {Reason}")]
    private static partial void LogNotReady(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Draining: nothing new is taken, what was begun is finished within {Seconds} s (--drain-timeout); a second signal ends it at once")]
    private static partial void LogDraining(ILogger logger, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The drain was not over after {Seconds} s (--drain-timeout); what is left ends now")]
    private static partial void LogDrainTimeout(ILogger logger, double seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The drain failed; what is left ends now")]
    private static partial void LogDrainFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "Stopping")]
    private static partial void LogStopping(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Not all parts stopped in order")]
    private static partial void LogStoppedHalfway(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Debug, Message = "Failed")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
