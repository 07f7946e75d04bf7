namespace K2Cluster.Gateway.Serving;

/// <summary>Where the APIs find the model: empty until it is loaded, shut for new work while the process cannot do it.</summary>
/// <param name="notReady">Why new work cannot be done now, in words for clients, who may be strangers; null when it can.</param>
internal sealed class ModelGate(Func<string?> notReady)
{
    private static readonly TimeSpan ComeBack = TimeSpan.FromSeconds(2);

    private volatile ServedModel? _model;
    private TaskCompletionSource? _drained;
    private int _inside;

    /// <summary>For what needs no more than the checkpoint: tokens, names.</summary>
    /// <exception cref="RequestException">It is not loaded yet.</exception>
    public ServedModel Loaded => _model ?? throw NotReady(notReady() ?? "its model is being loaded");

    /// <summary>For new work, which <see cref="Enter"/> begins.</summary>
    /// <exception cref="RequestException">This gateway cannot serve now.</exception>
    public ServedModel Ready => _drained is not null ? throw Draining() : notReady() is { } reason ? throw NotReady(reason) : Loaded;

    public void Open(ServedModel model) => _model = model;

    /// <summary>Begins new work; a drain waits until <see cref="Leave"/>.</summary>
    /// <exception cref="RequestException">This gateway cannot serve now; nothing has begun.</exception>
    public ServedModel Enter()
    {
        // Counted before the look: a drain that begins in between waits for it.
        Interlocked.Increment(ref _inside);
        try
        {
            return Ready;
        }
        catch
        {
            Leave();
            throw;
        }
    }

    /// <summary>Ends what <see cref="Enter"/> began.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref _inside) == 0)
            _drained?.TrySetResult();
    }

    /// <summary>Shuts the gate for good, and ends when all work has.</summary>
    public Task DrainAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
        drained = Interlocked.CompareExchange(ref _drained, drained, null) ?? drained;
        if (Volatile.Read(ref _inside) == 0)
            drained.TrySetResult();
        return drained.Task.WaitAsync(cancellationToken);
    }

    private static RequestException NotReady(string reason) =>
        new(RequestFault.NotReady, $"This gateway cannot serve now: {reason}.", code: "not_ready") { RetryAfter = ComeBack };

    private static RequestException Draining() =>
        new(RequestFault.NotReady, "This gateway finishes what it has begun and then stops: send the request to another, or again when one is back.", code: "draining") { RetryAfter = ComeBack };
}
