using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace K2Cluster.Cli;

/// <summary>Equal requests, a limited number of them at once and each when it arrives, after one that is not measured.</summary>
internal sealed class Bench(HttpClient http, BenchOptions options)
{
    // HttpClient's own time-out ends with the headers of a streamed answer.
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromMinutes(10);

    /// <summary>Random prompts are of the tokens below this: bytes, which every vocabulary has.</summary>
    private const int PromptTokens = 256;

    private readonly ConcurrentBag<MeasuredRequest> _measured = [];
    private readonly Random _random = new(options.Seed);
    private int _failed;
    private string? _firstFailure;

    /// <summary>Why a request failed: the first reason, or null when none did.</summary>
    public string? FirstFailure => _firstFailure;

    /// <exception cref="CommandException">No gateway answers, or the request before the measured ones failed.</exception>
    public async Task<BenchReport> RunAsync(Action progress, CancellationToken cancellation)
    {
        MachineFacts machine = MachineFacts.Read();
        string model = await AskModelAsync(cancellation);
        await SendAsync(model, Prompt(), Math.Min(options.MaxTokens, 2), Stopwatch.GetTimestamp(), cancellation);

        TimeSpan[] arrivals = Arrivals.Of(options.Requests, options.RequestRate, options.Seed);
        using SemaphoreSlim free = new(options.Concurrency);
        List<Task> running = [];
        long started = Stopwatch.GetTimestamp();
        for (int i = 0; i < arrivals.Length; i++)
        {
            JsonNode prompt = Prompt();
            if (arrivals[i] - Stopwatch.GetElapsedTime(started) is var early && early > TimeSpan.Zero)
                await Task.Delay(early, cancellation);
            await free.WaitAsync(cancellation);
            running.Add(WorkAsync(model, prompt, started, free, progress, cancellation));
        }

        await Task.WhenAll(running);
        return BenchReport.Of(options, model, [.. _measured], _failed, Stopwatch.GetElapsedTime(started), machine);
    }

    private async Task WorkAsync(string model, JsonNode prompt, long started, SemaphoreSlim free, Action progress, CancellationToken cancellation)
    {
        try
        {
            _measured.Add(await SendAsync(model, prompt, options.MaxTokens, started, cancellation));
        }
        catch (Exception failure) when (IsRequestFailure(failure, cancellation))
        {
            Interlocked.Increment(ref _failed);
            Interlocked.CompareExchange(ref _firstFailure, failure.Message, null);
        }
        finally
        {
            free.Release();
        }

        progress();
    }

    private async Task<MeasuredRequest> SendAsync(string model, JsonNode prompt, int maxTokens, long started, CancellationToken cancellation)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(RequestTimeout);
        return await MeasuredRequest.SendAsync(http, model, prompt, maxTokens, started, deadline.Token);
    }

    private JsonNode Prompt() => options.InputLength == 0
        ? JsonValue.Create(options.Prompt)
        : new JsonArray([.. Enumerable.Range(0, options.InputLength).Select(_ => (JsonNode)_random.Next(PromptTokens))]);

    private async Task<string> AskModelAsync(CancellationToken cancellation)
    {
        try
        {
            JsonNode? models = JsonNode.Parse(await http.GetStringAsync("/v1/models", cancellation));
            return models?["data"]?[0]?["id"]?.GetValue<string>() ?? throw new CommandException($"{options.Url} lists no model.");
        }
        catch (Exception failure) when (IsRequestFailure(failure, cancellation) && failure is not CommandException)
        {
            throw new CommandException($"No gateway answers at {options.Url} ({TerminalText.Of(failure.Message)}). Start one with: dotnet run -c Release --project gateway; or give its HTTP address with --url.");
        }
    }

    private static bool IsRequestFailure(Exception failure, CancellationToken cancellation) =>
        failure is CommandException or HttpRequestException or IOException or System.Text.Json.JsonException or InvalidOperationException or ArgumentException
        || (failure is OperationCanceledException && !cancellation.IsCancellationRequested);
}
