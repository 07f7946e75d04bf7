using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using K2Cluster.Checkpoint;
using K2Cluster.Telemetry;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace K2Cluster.Hosting.Tests;

public sealed class K2ProcessTests : IDisposable
{
    private static readonly string[] FreePorts = ["--http", "http://127.0.0.1:0", "--grpc", "http://127.0.0.1:0", "--silo-name", "here"];

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("k2-hosting-");
    private readonly StringWriter _error = new();
    private readonly ReadyLine _output = new();
    private readonly ManualReadiness _readiness = new();
    private readonly HttpClient _http = new();

    public void Dispose()
    {
        _folder.Delete(recursive: true);
        _http.Dispose();
    }

    [Fact]
    public async Task Ready_line_and_readyz_come_together_and_a_stop_ends_with_code_0()
    {
        TaskCompletionSource<string> address = new(TaskCreationOptions.RunContinuationsAsynchronously);
        using K2Process process = Create(map: (app, _) => app.Lifetime.ApplicationStarted.Register(() => address.SetResult(app.Urls.First())));
        Task<int> run = process.RunAsync(FreePorts);
        string http = await address.Task.WaitAsync(TimeSpan.FromSeconds(60));

        Assert.Equal((HttpStatusCode.OK, "alive\n"), await GetAsync($"{http}/healthz"));
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "loading experts, 3 of 80\n"), await GetAsync($"{http}/readyz"));
        Assert.Equal("", _output.ToString());

        _readiness.Set();
        string line = await _output.Line.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Matches("^K2Cluster gateway ready: http://127\\.0\\.0\\.1:[1-9][0-9]* \\(gRPC http://127\\.0\\.0\\.1:[1-9][0-9]*\\), model k2-nano, 80 experts on 1 shard$", line);
        Assert.StartsWith($"K2Cluster gateway ready: {http} ", line);
        Assert.Equal((HttpStatusCode.OK, "80 experts on 1 shard\n"), await GetAsync($"{http}/readyz"));
        using (HttpRequestMessage head = new(HttpMethod.Head, $"{http}/readyz"))
        using (HttpResponseMessage answer = await _http.SendAsync(head))
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);

        process.Stop();
        Assert.Equal(K2Program.Stopped, await run);
        Assert.Equal("", _error.ToString());
        Assert.Equal(line + Environment.NewLine, _output.ToString());
    }

    [Theory]
    [InlineData("", "info K2Cluster gateway {version}, here: loading {model}", "")]
    [InlineData("--cluster localhost --cluster-id c", "info K2Cluster gateway {version}, here: joining cluster c (on this machine)", ", cluster c")]
    [InlineData("--cluster redis --cluster-id c --redis h:1,password=secret", "info K2Cluster gateway {version}, here: joining cluster c (redis at h:1)", ", cluster c")]
    [InlineData(
        "--cluster redis --redis h:1",
        "info K2Cluster gateway {version}, here: joining cluster {id} (redis at h:1)|warn No --cluster-id: it is {id}, from the path of the model ({model}); processes with another path form another cluster",
        ", cluster {id}")]
    public async Task The_log_begins_with_what_starts_and_the_ready_line_ends_with_the_cluster(string arguments, string log, string readyEnd)
    {
        LogList entries = new();
        K2Options? options = null;
        _readiness.Set();
        using K2Process process = Create((builder, read) =>
        {
            options = read;
            builder.Logging.AddProvider(entries);
        });
        Task<int> run = process.RunAsync([.. FreePorts, .. arguments.Split(' ', StringSplitOptions.RemoveEmptyEntries)]);
        string line = await _output.Line.WaitAsync(TimeSpan.FromSeconds(60));
        string[] begin = [.. entries.Lines];
        process.Stop();

        Assert.Equal(K2Program.Stopped, await run);
        Assert.Equal(Filled(log).Split('|'), begin);
        Assert.EndsWith($"80 experts on 1 shard{Filled(readyEnd)}", line);

        string Filled(string text) => text.Replace("{version}", TelemetryExport.Version()).Replace("{model}", options!.Model).Replace("{id}", options.ClusterId);
    }

    [Fact]
    public async Task A_stop_drains_first_while_all_parts_run_and_readyz_says_so()
    {
        ManualDrain drain = new();
        bool stopping = false;
        _readiness.Set();
        using K2Process process = Create(
            (builder, _) => builder.Services.AddSingleton<IDrain>(drain),
            (app, _) => app.Lifetime.ApplicationStopping.Register(() => stopping = true));
        Task<int> run = process.RunAsync(FreePorts);
        string http = (await _output.Line.WaitAsync(TimeSpan.FromSeconds(60))).Split(' ')[3];

        process.Stop();
        await drain.Begun.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal((HttpStatusCode.ServiceUnavailable, "draining: what was begun is finished, then this process stops\n"), await GetAsync($"{http}/readyz"));
        Assert.Equal((HttpStatusCode.OK, "alive\n"), await GetAsync($"{http}/healthz"));
        Assert.False(stopping);

        drain.End.SetResult();
        Assert.Equal(K2Program.Stopped, await run);
        Assert.True(stopping);
    }

    [Theory]
    [InlineData("1", true)]
    [InlineData("0", false)]
    public async Task A_drain_has_its_time_and_no_more(string seconds, bool begins)
    {
        ManualDrain drain = new();
        _readiness.Set();
        using K2Process process = Create((builder, _) => builder.Services.AddSingleton<IDrain>(drain));
        Task<int> run = process.RunAsync([.. FreePorts, "--drain-timeout", seconds]);
        await _output.Line.WaitAsync(TimeSpan.FromSeconds(60));
        process.Stop();

        Assert.Equal(K2Program.Stopped, await run.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal(begins, drain.Begun.IsCompleted);
    }

    [Fact]
    public async Task A_failure_during_a_drain_ends_it_and_is_told()
    {
        ManualDrain drain = new();
        FatalFailure? fatal = null;
        _readiness.Set();
        using K2Process process = Create((builder, _) => builder.Services.AddSingleton<IDrain>(drain), (app, _) => fatal = app.Services.GetRequiredService<FatalFailure>());
        Task<int> run = process.RunAsync(FreePorts);
        await _output.Line.WaitAsync(TimeSpan.FromSeconds(60));
        process.Stop();
        await drain.Begun.WaitAsync(TimeSpan.FromSeconds(60));
        fatal!.Stop(new K2FailureException("device 0 is gone"));
        Assert.Equal(K2Program.Failed, await run.WaitAsync(TimeSpan.FromSeconds(60)));
        Assert.Equal($"K2Cluster gateway failed: device 0 is gone{Environment.NewLine}", _error.ToString());
    }

    [Fact]
    public async Task Metrics_have_the_names_that_the_documentation_gives_and_room_for_every_expert()
    {
        const int layers = 60, experts = 384;
        _readiness.Set();
        using K2Process process = Create();
        Task<int> run = process.RunAsync(FreePorts);
        string http = (await _output.Line.WaitAsync(TimeSpan.FromSeconds(60))).Split(' ')[3];
        K2Telemetry.Requests.Add(1, new("k2.api", "chat"), new("k2.outcome", "stop"));
        K2Telemetry.ActiveRequests.Add(1);
        K2Telemetry.TimeToFirstToken.Record(0.03);
        K2Telemetry.Tokens.Add(7, new KeyValuePair<string, object?>("k2.token.type", "completion"));
        K2Telemetry.StepDuration.Record(0.003);
        using Meter shards = new(K2Telemetry.ShardMeterName);
        Counter<long> expertTokens = shards.CreateCounter<long>("k2.expert.tokens", "{token}");
        for (int layer = 1; layer <= layers; layer++)
        {
            for (int expert = 0; expert < experts; expert++)
                expertTokens.Add(1, new("k2.shard", "m/s/0"), new("k2.layer", layer), new("k2.expert", expert));
        }

        (_, string metrics) = await GetAsync($"{http}/metrics");
        process.Stop();
        await run;

        string[] lines = metrics.Split('\n');
        Assert.Contains(lines, line => line.StartsWith("target_info{") && line.Contains("service_name=\"k2-gateway\"") && line.Contains("service_instance_id=\"here\""));
        Assert.Contains(lines, line => line.StartsWith("k2_requests_total{") && line.Contains("k2_api=\"chat\"") && line.Contains("k2_outcome=\"stop\""));
        Assert.Contains(lines, line => line.StartsWith("k2_requests_active{"));
        Assert.Contains(lines, line => line.StartsWith("k2_time_to_first_token_seconds_bucket{") && line.Contains("le=\"0.05\"") && line.EndsWith(" 1"));
        Assert.Contains(lines, line => line.StartsWith("k2_tokens_total{") && line.Contains("k2_token_type=\"completion\""));
        Assert.Contains(lines, line => line.StartsWith("k2_step_duration_seconds_count{"));
        Assert.Equal(layers * experts, lines.Count(line => line.StartsWith("k2_expert_tokens_total{") && line.Contains("k2_layer=")));
        Assert.DoesNotContain(lines, line => line.Contains("otel_metric_overflow"));
    }

    [Fact]
    public async Task Known_failures_are_told_in_one_line_without_type_or_stack_and_end_with_code_1()
    {
        (int code, string error) = await FailAsync(new CheckpointException("model.safetensors: header of 9 EiB"));

        Assert.Equal(K2Program.Failed, code);
        Assert.Equal($"K2Cluster gateway failed: model.safetensors: header of 9 EiB{Environment.NewLine}", error);
    }

    [Fact]
    public async Task A_known_failure_is_found_among_the_causes()
    {
        (int code, string error) = await FailAsync(new AggregateException(new CheckpointException("model.safetensors: short")));

        Assert.Equal(K2Program.Failed, code);
        Assert.Equal($"K2Cluster gateway failed: model.safetensors: short{Environment.NewLine}", error);
    }

    [Fact]
    public async Task A_port_in_use_ends_the_start_before_anything_is_built_and_is_told_in_one_line()
    {
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        using K2Process process = Create((_, _) => throw new InvalidOperationException("built"));

        Assert.Equal(K2Program.Failed, await process.RunAsync(["--http", "http://127.0.0.1:0", "--grpc", $"http://{taken.LocalEndpoint}", "--silo-name", "here"]));
        Assert.Equal($"K2Cluster gateway failed: Cannot listen on http://{taken.LocalEndpoint}: Address already in use. Use an address of this machine and a free port (0 takes any).{Environment.NewLine}", _error.ToString());
    }

    [Fact]
    public async Task The_caller_names_further_known_failures()
    {
        using K2Process process = Create((_, _) => throw new TimeZoneNotFoundException("no such zone"), knownFailures: typeof(TimeZoneNotFoundException));

        Assert.Equal(K2Program.Failed, await process.RunAsync(FreePorts));
        Assert.Equal($"K2Cluster gateway failed: no such zone{Environment.NewLine}", _error.ToString());
    }

    [Fact]
    public async Task An_unexpected_failure_is_told_with_its_type_and_how_to_see_more()
    {
        (int code, string error) = await FailAsync(new InvalidOperationException("two\nlines"));

        Assert.Equal(K2Program.Failed, code);
        Assert.StartsWith("K2Cluster gateway failed: System.InvalidOperationException: two lines (", error);
        Assert.Contains("Logging__LogLevel__K2Cluster=Debug", error);
        Assert.Single(error.TrimEnd().Split('\n'));
    }

    [Fact]
    public async Task A_failure_while_loading_ends_the_process()
    {
        _readiness.Fail(new CheckpointException("model.safetensors: tensor x is out of range"));
        using K2Process process = Create();

        Assert.Equal(K2Program.Failed, await process.RunAsync(FreePorts));
        Assert.Contains("tensor x is out of range", _error.ToString());
        Assert.Equal("", _output.ToString());
    }

    [Fact]
    public async Task A_background_service_that_throws_ends_the_process_with_its_message()
    {
        using K2Process process = Create((builder, _) => builder.Services.AddHostedService<FailingService>());

        Assert.Equal(K2Program.Failed, await process.RunAsync(FreePorts));
        Assert.Equal($"K2Cluster gateway failed: the disk is gone{Environment.NewLine}", _error.ToString());
    }

    [Fact]
    public async Task A_fatal_failure_after_the_start_ends_the_process_with_its_message()
    {
        _readiness.Set();
        FatalFailure? fatal = null;
        using K2Process process = Create(map: (app, _) => fatal = app.Services.GetRequiredService<FatalFailure>());
        Task<int> run = process.RunAsync(FreePorts);
        await _output.Line.WaitAsync(TimeSpan.FromSeconds(60));

        fatal!.Stop(new K2FailureException("device 0 is gone"));

        Assert.Equal(K2Program.Failed, await run);
        Assert.Equal($"K2Cluster gateway failed: device 0 is gone{Environment.NewLine}", _error.ToString());
    }

    [Fact]
    public async Task A_fatal_failure_during_the_start_is_told_also_when_a_part_fails_to_stop()
    {
        using K2Process process = Create((builder, _) => builder.Services.AddHostedService<InterruptedService>());

        Assert.Equal(K2Program.Failed, await process.RunAsync(FreePorts));
        Assert.Equal($"K2Cluster gateway failed: device 0 is gone{Environment.NewLine}", _error.ToString());
    }

    [Fact]
    public async Task Wrong_usage_ends_with_code_2_and_one_line_that_points_to_help()
    {
        using K2Process process = Create();

        Assert.Equal(K2Program.WrongUsage, await process.RunAsync(["--modle", "x"]));
        Assert.Equal($"Unrecognized command or argument '--modle'. See --help.{Environment.NewLine}", _error.ToString());
    }

    [Theory]
    [InlineData("--help", "--kv-memory <SIZE>")]
    [InlineData("-h", "K2__Model")]
    [InlineData("--version", ".")]
    public async Task Help_and_version_go_to_stdout_with_code_0(string option, string expected)
    {
        using K2Process process = Create();

        Assert.Equal(K2Program.Stopped, await process.RunAsync([option]));
        Assert.Contains(expected, _output.ToString());
        Assert.Equal("", _error.ToString());
    }

    [Fact]
    public async Task A_configuration_file_is_read_from_the_working_directory()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "appsettings.json"), """{ "K2": { "Name": "from-file" } }""");
        string? name = null;
        using K2Process process = Create((_, options) => throw new K2FailureException(name = options.Name));

        await process.RunAsync([]);
        Assert.Equal("from-file", name);
    }

    [Fact]
    public async Task A_configuration_file_that_is_no_JSON_is_wrong_usage_and_named()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder.FullName, "appsettings.json"), "{ \"K2\": ");
        using K2Process process = Create();

        Assert.Equal(K2Program.WrongUsage, await process.RunAsync([]));
        Assert.Contains("appsettings.json", _error.ToString());
    }

    [Theory]
    [InlineData(false, "warn K2Cluster.Room: it failed (IOException: disk full)\n")]
    [InlineData(true, "warn K2Cluster.Room: it failed\nSystem.IO.IOException: disk\nfull\n")]
    public void A_log_entry_is_one_line_unless_stacks_are_asked_for(bool stacks, string expected)
    {
        using StringWriter writer = new() { NewLine = "\n" };
        LogEntry<string> entry = new(LogLevel.Warning, "K2Cluster.Room", default, "it\nfailed", new IOException("disk\nfull"), (state, _) => state);

        new LogLine(stacks).Write(entry, null, writer);

        Assert.Equal(expected, writer.ToString()["HH:mm:ss ".Length..]);
    }

    private async Task<(int Code, string Error)> FailAsync(Exception exception)
    {
        using K2Process process = Create((_, _) => throw exception);
        return (await process.RunAsync(FreePorts), _error.ToString());
    }

    private K2Process Create(Action<WebApplicationBuilder, K2Options>? build = null, Action<WebApplication, K2Options>? map = null, params Type[] knownFailures) =>
        new(K2Role.Gateway, (builder, options) =>
        {
            builder.Services.AddSingleton<IReadiness>(_readiness);
            build?.Invoke(builder, options);
        }, map, knownFailures, _folder.FullName, _output, _error);

    private async Task<(HttpStatusCode Status, string Body)> GetAsync(string url)
    {
        using HttpResponseMessage response = await _http.GetAsync(url);
        return (response.StatusCode, await response.Content.ReadAsStringAsync());
    }

    private sealed class FailingService : BackgroundService
    {
        protected override async Task ExecuteAsync(CancellationToken stoppingToken)
        {
            await Task.Yield();
            throw new IOException("the disk is gone");
        }
    }

    private sealed class InterruptedService(FatalFailure fatal) : IHostedService
    {
        public Task StartAsync(CancellationToken cancellationToken)
        {
            fatal.Stop(new K2FailureException("device 0 is gone"));
            return Task.FromCanceled(new CancellationToken(true));
        }

        public Task StopAsync(CancellationToken cancellationToken) => throw new InvalidOperationException("I have not started.");
    }

    private sealed class ManualDrain : IDrain
    {
        private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Begun => _begun.Task;

        public TaskCompletionSource End { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task DrainAsync(CancellationToken timeIsUp)
        {
            _begun.SetResult();
            return End.Task;
        }
    }

    private sealed class ManualReadiness : IReadiness
    {
        private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public bool IsReady => _ready.Task.IsCompletedSuccessfully;

        public string Reason => IsReady ? "80 experts on 1 shard" : "loading experts, 3 of 80";

        public Task WaitAsync(CancellationToken cancellation) => _ready.Task.WaitAsync(cancellation);

        public void Set() => _ready.SetResult();

        public void Fail(Exception exception) => _ready.SetException(exception);
    }

    /// <summary>What K2Cluster logs.</summary>
    private sealed class LogList : ILoggerProvider, ILogger
    {
        public ConcurrentQueue<string> Lines { get; } = [];

        public ILogger CreateLogger(string categoryName) => categoryName.StartsWith("K2Cluster", StringComparison.Ordinal) ? this : NullLogger.Instance;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            Lines.Enqueue($"{(logLevel == LogLevel.Information ? "info" : logLevel == LogLevel.Warning ? "warn" : "other")} {formatter(state, exception)}");

        public void Dispose()
        {
        }
    }

    /// <summary>Stands for stdout; tells when the first whole line has been written.</summary>
    private sealed class ReadyLine : StringWriter
    {
        private readonly TaskCompletionSource<string> _line = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<string> Line => _line.Task;

        public override void WriteLine(string? value)
        {
            base.WriteLine(value);
            _line.TrySetResult(value ?? "");
        }
    }
}
