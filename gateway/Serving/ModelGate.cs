namespace K2Cluster.Gateway.Serving;

/// <summary>Where the APIs find the model: empty until it is loaded, shut for new work while the process cannot do it.</summary>
/// <param name="notReady">Why new work cannot be done now; null when it can.</param>
internal sealed class ModelGate(Func<string?> notReady)
{
    private volatile ServedModel? _model;

    /// <summary>For what needs no more than the checkpoint: tokens, names.</summary>
    /// <exception cref="RequestException">It is not loaded yet.</exception>
    public ServedModel Loaded => _model ?? throw NotReady();

    /// <summary>For new work.</summary>
    /// <exception cref="RequestException">This gateway cannot serve now.</exception>
    public ServedModel Ready => notReady() is not null ? throw NotReady() : Loaded;

    public void Open(ServedModel model) => _model = model;

    private static RequestException NotReady() =>
        new(RequestFault.NotReady, "This gateway cannot serve now: it is starting or stopping, or the cluster lacks experts. Its /readyz says which.", code: "not_ready");
}
