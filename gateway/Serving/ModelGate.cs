namespace K2Cluster.Gateway.Serving;

/// <summary>Where the APIs find the model: empty until it is loaded, shut for new work while the process cannot do it.</summary>
/// <param name="notReady">Why new work cannot be done now, in words for a client; null when it can.</param>
internal sealed class ModelGate(Func<string?> notReady)
{
    private volatile ServedModel? _model;

    /// <summary>For what needs no more than the checkpoint: tokens, names.</summary>
    /// <exception cref="RequestException">It is not loaded yet.</exception>
    public ServedModel Loaded => _model ?? throw NotReady(notReady() ?? "the model is being loaded");

    /// <summary>For new work.</summary>
    /// <exception cref="RequestException">This gateway cannot serve now.</exception>
    public ServedModel Ready => notReady() is { } reason ? throw NotReady(reason) : Loaded;

    public void Open(ServedModel model) => _model = model;

    private static RequestException NotReady(string reason) =>
        new(RequestFault.NotReady, $"This gateway cannot serve now: {reason}.", code: "not_ready");
}
