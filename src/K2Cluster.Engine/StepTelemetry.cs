using K2Cluster.Engine.Scheduling;
using K2Cluster.Telemetry;

namespace K2Cluster.Engine;

/// <summary>Counts what each step did.</summary>
internal sealed class StepTelemetry(Scheduler scheduler)
{
    private static readonly KeyValuePair<string, object?> Prompt = new("k2.token.type", "prompt");
    private static readonly KeyValuePair<string, object?> Completion = new("k2.token.type", "completion");
    private static readonly KeyValuePair<string, object?> Drafted = new("k2.token.outcome", "drafted");
    private static readonly KeyValuePair<string, object?> Accepted = new("k2.token.outcome", "accepted");

    private long _prompt;
    private long _completion;
    private long _cached;
    private long _preemptions;
    private long _drafted;
    private long _accepted;

    public void Record(TimeSpan duration)
    {
        K2Telemetry.StepDuration.Record(duration.TotalSeconds);
        K2Telemetry.Tokens.Add(Grown(ref _prompt, scheduler.PromptTokens), Prompt);
        K2Telemetry.Tokens.Add(Grown(ref _completion, scheduler.CompletionTokens), Completion);
        K2Telemetry.PrefixCacheHits.Add(Grown(ref _cached, scheduler.CachedTokens));
        K2Telemetry.Preemptions.Add(Grown(ref _preemptions, scheduler.Preemptions));
        K2Telemetry.SpeculatedTokens.Add(Grown(ref _drafted, scheduler.DraftedTokens), Drafted);
        K2Telemetry.SpeculatedTokens.Add(Grown(ref _accepted, scheduler.AcceptedTokens), Accepted);
    }

    private static long Grown(ref long last, long now)
    {
        long grown = now - last;
        last = now;
        return grown;
    }
}
