using System.Diagnostics;
using K2Cluster.Engine.Scheduling;
using K2Cluster.Telemetry;

namespace K2Cluster.Engine;

/// <summary>The trace of a step: a part of the first recorded request's trace, linked to the others'.</summary>
internal static class StepActivity
{
    /// <summary>Null, at no cost, when no request of the step is recorded.</summary>
    public static Activity? Start(IReadOnlyList<Sequence> sequences, int rows)
    {
        if (!K2Telemetry.Activities.HasListeners())
            return null;
        ActivityContext parent = default;
        List<ActivityLink>? links = null;
        foreach (Sequence sequence in sequences)
        {
            if ((sequence.Trace.TraceFlags & ActivityTraceFlags.Recorded) == 0)
                continue;
            if (parent == default)
                parent = sequence.Trace;
            else
                (links ??= []).Add(new ActivityLink(sequence.Trace));
        }

        if (parent == default)
            return null;
        return K2Telemetry.Activities.StartActivity("k2.step", ActivityKind.Internal, parent, links: links)
            ?.SetTag("k2.step.sequences", sequences.Count)
            .SetTag("k2.step.rows", rows);
    }
}
