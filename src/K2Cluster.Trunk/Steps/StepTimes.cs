using System.Diagnostics;

namespace K2Cluster.Trunk.Steps;

/// <summary>What a step spends its time on.</summary>
internal enum StepPhase
{
    /// <summary>The matrices before and after the attention itself, with the norms and rotary positions between them.</summary>
    Projections,

    /// <summary>Softmax(queries · cache) · cache.</summary>
    Attention,

    /// <summary>The norm, the choice of experts, and handing the rows over.</summary>
    Router,

    /// <summary>Waiting for the routed experts, and adding what they gave.</summary>
    Experts,

    /// <summary>The shared experts and dense layers.</summary>
    Mlp,

    /// <summary>The final norm and the logits.</summary>
    Head,

    /// <summary>All else.</summary>
    Rest,
}

/// <summary>The time of a step by phase, for benchmarks. On the thread that runs the step; a trunk without one pays nothing.</summary>
internal sealed class StepTimes
{
    private readonly long[] _ticks = new long[Enum.GetValues<StepPhase>().Length];
    private long _last;

    public TimeSpan this[StepPhase phase] => Stopwatch.GetElapsedTime(0, _ticks[(int)phase]);

    public void Start()
    {
        Array.Clear(_ticks);
        _last = Stopwatch.GetTimestamp();
    }

    /// <summary>The time since the last mark belongs to <paramref name="phase"/>.</summary>
    public void Mark(StepPhase phase)
    {
        long now = Stopwatch.GetTimestamp();
        _ticks[(int)phase] += now - _last;
        _last = now;
    }
}
