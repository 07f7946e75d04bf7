using Grpc.Core;
using K2Cluster.Client.Internal;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client;

/// <summary>
/// The gateways of a cluster as if they were one. A request goes to the gateway that answered last, at first to the first;
/// one that refuses for reasons of its own (it starts, drains, is full) or does not answer is left for the next. An answer
/// whose gateway dies goes on at another, from the request and the tokens so far, to the same end: its reader sees no more of
/// it than a pause. May be used by many threads at once.
/// </summary>
public sealed class K2Client : IDisposable
{
    private readonly GatewaySet _gateways;
    private readonly K2ClientOptions _options;

    /// <param name="gateways">Their gRPC addresses, in the order in which they are tried. Clients that are to use them evenly give them in different orders.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <exception cref="ArgumentException">There is no address, one is not http or https, or an option is out of its range.</exception>
    public K2Client(IEnumerable<Uri> gateways, K2ClientOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(gateways);
        _options = options ?? new K2ClientOptions();
        _options.Validate();
        _gateways = GatewaySet.Connect([.. gateways], _options);
    }

    internal K2Client(IReadOnlyList<Inference.InferenceClient> gateways, K2ClientOptions options) =>
        (_gateways, _options) = (new GatewaySet(gateways), options);

    /// <summary>Goes on with a prompt. The stream is: started, any number of deltas, a finished for each of the answers.</summary>
    /// <param name="request">Not changed; may be used again.</param>
    /// <param name="deadline">In UTC: until then the answer must be whole, however many gateways it takes. Null for the gateways' own limit.</param>
    /// <param name="cancellationToken">Ends the work, as leaving the loop does.</param>
    /// <exception cref="RpcException">While the events are read: the request was refused, its deadline passed, or no gateway could go on with it.</exception>
    public IAsyncEnumerable<GenerateEvent> GenerateAsync(GenerateRequest request, DateTime? deadline = null, CancellationToken cancellationToken = default) =>
        RunAsync(new GenerateMethod(), request, deadline, cancellationToken);

    /// <summary>Answers a conversation. The stream is: started, any number of deltas, a finished for each of the answers.</summary>
    /// <param name="request">Not changed; may be used again.</param>
    /// <param name="deadline">As with <see cref="GenerateAsync"/>.</param>
    /// <param name="cancellationToken">As with <see cref="GenerateAsync"/>.</param>
    /// <exception cref="RpcException">As with <see cref="GenerateAsync"/>.</exception>
    public IAsyncEnumerable<ChatEvent> ChatAsync(ChatRequest request, DateTime? deadline = null, CancellationToken cancellationToken = default) =>
        RunAsync(new ChatMethod(), request, deadline, cancellationToken);

    /// <summary>Closes the connections; answers under way end with an error.</summary>
    public void Dispose() => _gateways.Dispose();

    private IAsyncEnumerable<TEvent> RunAsync<TRequest, TEvent>(AnswerMethod<TRequest, TEvent> method, TRequest request, DateTime? deadline, CancellationToken cancellationToken)
        where TRequest : class
        where TEvent : class
    {
        ArgumentNullException.ThrowIfNull(request);
        return new ResumingAnswer<TRequest, TEvent>(method, request, () => new Attempts(_gateways, _options, deadline)).RunAsync(cancellationToken);
    }
}
