using System.Collections.Concurrent;
using System.Diagnostics;
using System.Text.Json.Nodes;

namespace K2Cluster.Cli;

/// <summary>A fixed number of equal requests, a fixed number of them at once, after one that is not measured.</summary>
internal sealed class Bench(HttpClient http, BenchOptions options)
{
    // HttpClient's own time-out ends with the headers of a streamed answer.
    private static readonly TimeSpan RequestTimeout = TimeSpan.FromMinutes(10);

    private readonly ConcurrentBag<MeasuredRequest> _measured = [];
    private int _next;
    private int _failed;
    private string? _firstFailure;

    /// <summary>Why a request failed: the first reason, or null when none did.</summary>
    public string? FirstFailure => _firstFailure;

    /// <exception cref="CommandException">No gateway answers, or the request before the measured ones failed.</exception>
    public async Task<BenchReport> RunAsync(Action progress, CancellationToken cancellation)
    {
        string model = await AskModelAsync(cancellation);
        await SendAsync(model, Math.Min(options.MaxTokens, 2), cancellation);

        long started = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Math.Min(options.Concurrency, options.Requests)).Select(_ => WorkAsync(model, progress, cancellation)));
        return Report(model, Stopwatch.GetElapsedTime(started));
    }

    private async Task WorkAsync(string model, Action progress, CancellationToken cancellation)
    {
        while (Interlocked.Increment(ref _next) <= options.Requests)
        {
            try
            {
                _measured.Add(await SendAsync(model, options.MaxTokens, cancellation));
            }
            catch (Exception failure) when (IsRequestFailure(failure, cancellation))
            {
                Interlocked.Increment(ref _failed);
                Interlocked.CompareExchange(ref _firstFailure, failure.Message, null);
            }

            progress();
        }
    }

    private async Task<MeasuredRequest> SendAsync(string model, int maxTokens, CancellationToken cancellation)
    {
        using CancellationTokenSource deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(RequestTimeout);
        return await MeasuredRequest.SendAsync(http, model, options.Prompt, maxTokens, deadline.Token);
    }

    private BenchReport Report(string model, TimeSpan elapsed)
    {
        MeasuredRequest[] measured = [.. _measured];
        double[] perToken = [.. measured.Select(request => request.PerOutputToken).OfType<TimeSpan>().Select(time => time.TotalMilliseconds)];
        long outputTokens = measured.Sum(request => (long)request.OutputTokens);
        return new BenchReport(
            options.Url.ToString(),
            model,
            options.Requests,
            _failed,
            options.Concurrency,
            options.MaxTokens,
            measured.Sum(request => (long)request.PromptTokens),
            outputTokens,
            elapsed.TotalSeconds,
            outputTokens / elapsed.TotalSeconds,
            SpreadOf(measured.Select(request => request.FirstToken.TotalMilliseconds)),
            SpreadOf(perToken),
            SpreadOf(perToken.Where(time => time > 0).Select(time => 1000 / time)));
    }

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

    private static Spread? SpreadOf(IEnumerable<double> values) => values.Any() ? Spread.Of(values) : null;
}
