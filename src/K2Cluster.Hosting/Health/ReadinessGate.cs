namespace K2Cluster.Hosting;

/// <summary>
/// The answer of /readyz, for whoever admits work: open from the moment at which the ready line is printed,
/// as long as the process's <see cref="IReadiness"/> says so and until it is asked to stop.
/// </summary>
public sealed class ReadinessGate(IReadiness readiness)
{
    private volatile State _state = State.Starting;

    private enum State
    {
        Starting,
        Open,
        Draining,
        Stopping,
    }

    public bool IsOpen => _state == State.Open && readiness.IsReady;

    /// <summary>Why the gate is shut, or what is served when it is open.</summary>
    public string Reason => Leaving ?? readiness.Reason;

    /// <summary>The same for clients, who may be strangers.</summary>
    public string PublicReason => Leaving ?? readiness.PublicReason;

    private string? Leaving => _state switch
    {
        State.Draining => "draining: what was begun is finished, then this process stops",
        State.Stopping => "stopping",
        _ => null,
    };

    internal void Open() => _state = State.Open;

    internal void Drain() => _state = State.Draining;

    internal void Stop() => _state = State.Stopping;
}
