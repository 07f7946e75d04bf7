using System.Diagnostics;
using K2Cluster.Telemetry;

namespace K2Cluster.Gateway.Serving;

/// <summary>What is seen of one request from outside: its activity and its measurements, from arrival to end.</summary>
internal sealed class RequestScope : IDisposable
{
    private readonly KeyValuePair<string, object?> _api;
    private readonly long _arrived = Stopwatch.GetTimestamp();
    private readonly Activity? _activity;
    private ModelGate? _gate;
    private TokenUsage _usage;
    private bool _answered;

    public RequestScope(string api)
    {
        _api = new KeyValuePair<string, object?>("k2.api", api);
        _activity = K2Telemetry.Activities.StartActivity("k2.request");
        _activity?.SetTag("k2.api", api);
        K2Telemetry.ActiveRequests.Add(1, _api);
    }

    /// <summary>stop, length, tool_calls, cancelled, rejected (its own fault), refused (not ready, or full) or failed. A request that ends without one has failed.</summary>
    public string Outcome { get; set; } = "failed";

    /// <summary>Begins new work, which lasts until the end of this.</summary>
    /// <exception cref="RequestException">This gateway cannot serve now.</exception>
    public ServedModel Enter(ModelGate gate)
    {
        ServedModel model = gate.Enter();
        _gate = gate;
        return model;
    }

    /// <summary>The request was checked; its seed is recorded, so that it can be run again.</summary>
    public void Admitted(string model, IReadOnlyList<GenerationJob> jobs)
    {
        _activity?.SetTag("gen_ai.request.model", model);
        _activity?.SetTag("k2.request.id", jobs[0].Generation.Id);
        _activity?.SetTag("k2.seed", jobs[0].Generation.Sampling.Seed);
        _activity?.SetTag("gen_ai.usage.input_tokens", jobs.Sum(job => (long)job.PromptTokens));
    }

    /// <summary>A step came.</summary>
    public void Seen(JobStep step)
    {
        if (!_answered)
        {
            _answered = true;
            K2Telemetry.TimeToFirstToken.Record(Stopwatch.GetElapsedTime(_arrived).TotalSeconds, _api);
        }

        if (step.End is { } end)
        {
            _usage += end.Usage;
            Outcome = end.Reason switch { EndReason.Length => "length", EndReason.ToolCalls => "tool_calls", _ => "stop" };
        }
    }

    /// <param name="error">Why there is no answer, or no whole one.</param>
    /// <param name="clientLeft">Whether the client is gone: whatever was thrown then follows from that.</param>
    public void Failed(Exception error, bool clientLeft)
    {
        Outcome = error switch
        {
            _ when clientLeft => "cancelled",
            RequestException { Fault: RequestFault.Failed or RequestFault.TimedOut } => "failed",
            RequestException { Fault: RequestFault.NotReady or RequestFault.Busy } => "refused",
            RequestException or BadHttpRequestException => "rejected",
            _ => "failed",
        };
        if (Outcome == "failed")
            _activity?.SetStatus(ActivityStatusCode.Error, (error.InnerException ?? error).Message);
    }

    public void Dispose()
    {
        _gate?.Leave();
        K2Telemetry.ActiveRequests.Add(-1, _api);
        KeyValuePair<string, object?> outcome = new("k2.outcome", Outcome);
        K2Telemetry.Requests.Add(1, _api, outcome);
        K2Telemetry.RequestDuration.Record(Stopwatch.GetElapsedTime(_arrived).TotalSeconds, _api, outcome);
        _activity?.SetTag("k2.outcome", Outcome);
        _activity?.SetTag("gen_ai.usage.output_tokens", _usage.Completion);
        _activity?.Dispose();
    }
}
