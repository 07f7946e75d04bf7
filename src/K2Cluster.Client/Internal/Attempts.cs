using System.Runtime.ExceptionServices;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Internal;

/// <summary>Where an answer is tried next, and when no more: gateway after gateway, then a pause that doubles.</summary>
internal sealed class Attempts(GatewaySet gateways, K2ClientOptions options, DateTime? deadline)
{
    private static readonly TimeSpan ShortestPause = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    private readonly TimeProvider _time = options.Time;
    private int _gateway = gateways.Current;
    private int _failures;
    private long _failing;
    private TimeSpan _pause = ShortestPause;

    public Inference.InferenceClient Gateway => gateways[_gateway];

    public CallOptions CallOptions(CancellationToken cancellationToken) => new(deadline: deadline?.ToUniversalTime(), cancellationToken: cancellationToken);

    /// <summary>Something new came.</summary>
    public void Progress() => (_failures, _pause) = (0, ShortestPause);

    /// <summary>Turns to the next gateway; after the last one, when it is time to try them again.</summary>
    /// <param name="error">Why the call ended.</param>
    /// <param name="begun">Whether the answer has begun, so that nobody but this client can go on with it.</param>
    /// <param name="cancellationToken">Ends the pause.</param>
    /// <exception cref="RpcException"><paramref name="error"/>, where another gateway would not help, or none was found in time.</exception>
    public async ValueTask NextAsync(RpcException error, bool begun, CancellationToken cancellationToken)
    {
        if (!IsOfTheGateway(error, begun))
            ExceptionDispatchInfo.Throw(error);
        gateways.Leave(_gateway);
        _gateway = (_gateway + 1) % gateways.Count;
        if (_failures == 0)
            _failing = _time.GetTimestamp();
        if (++_failures % gateways.Count != 0)
            return;
        TimeSpan left = (begun ? options.Patience : options.StartPatience) - _time.GetElapsedTime(_failing);
        if (deadline is { } end)
            left = TimeSpan.FromTicks(Math.Min(left.Ticks, (end.ToUniversalTime() - _time.GetUtcNow().UtcDateTime).Ticks));
        // Where all are full, whoever asks should know: more of the same would make it worse.
        if (left <= TimeSpan.Zero || (!begun && error.StatusCode == StatusCode.ResourceExhausted))
            ExceptionDispatchInfo.Throw(error);
        // Not all clients of a gateway that died at the same moment.
        TimeSpan pause = _pause * (0.5 + (Random.Shared.NextDouble() / 2));
        await Task.Delay(pause < left ? pause : left, _time, cancellationToken).ConfigureAwait(false);
        _pause = _pause * 2 < LongestPause ? _pause * 2 : LongestPause;
    }

    /// <summary>Whether the fault is this gateway's, or the way's to it, and not the request's. What the channel itself made up has an exception.</summary>
    private static bool IsOfTheGateway(RpcException error, bool begun) => error.StatusCode switch
    {
        StatusCode.Unavailable or StatusCode.ResourceExhausted => true,
        // Not ours: those are told apart before.
        StatusCode.Cancelled => true,
        // An older one, which cannot resume.
        StatusCode.Unimplemented => begun,
        StatusCode.Internal or StatusCode.Unknown => error.Status.DebugException is not null,
        _ => false,
    };
}
