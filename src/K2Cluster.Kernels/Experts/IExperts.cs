namespace K2Cluster.Kernels.Experts;

/// <summary>
/// The routed experts of a model, wherever they live: to the trunk, the cluster is one big device.
/// Several tickets may be in flight (at least <see cref="MaxInFlight"/> ≥ 2); each is collected exactly once, in any order.
/// </summary>
public interface IExperts
{
    /// <summary>How many tickets may be outstanding; one more makes <see cref="Submit"/> throw.</summary>
    int MaxInFlight { get; }

    /// <summary>
    /// Whether the experts compute on the caller's own threads, within <see cref="Collect"/>: then a step that is cut in two
    /// halves gains nothing, and reads the weights twice.
    /// </summary>
    bool ComputesOnCollect => false;

    /// <summary>Starts the work of a batch and returns at once. The batch belongs to the callee until its ticket is collected.</summary>
    ExpertTicket Submit(ExpertBatch batch);

    /// <summary>Waits until every row of the ticket's batch has a final status: at most a time that counts from its submission and that the implementation states.</summary>
    void Collect(ExpertTicket ticket);
}

/// <summary>A submitted batch. <paramref name="Number"/> tells one use of a pooled batch from the next.</summary>
public readonly record struct ExpertTicket(ExpertBatch Batch, long Number);
