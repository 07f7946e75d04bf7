using System.Threading.Tasks.Sources;
using K2Cluster.Fabric.Connections;

namespace K2Cluster.Fabric;

/// <summary>A request in flight or on its way there, as its connection sees it. Ends exactly once, by one of three methods.</summary>
public abstract class FabricCall
{
    private protected FabricCall()
    {
    }

    internal ClientConnection? Connection { get; set; }

    /// <summary>0 while it waits for room. Written under the lock of its connection's slots.</summary>
    internal ulong Id { get; set; }

    internal abstract void Answered(ReadOnlySpan<byte> head, PooledBytes payload);

    internal abstract void Failed(FabricException exception);
}

/// <summary>
/// A call that one caller awaits, once, and that is used again for the next: no allocation per call. What awaits it runs on
/// the thread that reads the connection and must be short.
/// </summary>
/// <typeparam name="TResult">What a reply is read into.</typeparam>
public abstract class FabricCall<TResult> : FabricCall, IValueTaskSource<TResult>
{
    private ManualResetValueTaskSourceCore<TResult> _source;
    private CancellationTokenRegistration _cancellation;

    /// <summary>Reads a reply, on the thread that reads the connection. The head is valid during the call; the payload is the reader's.</summary>
    /// <exception cref="Exception">The reply is not allowed; it ends the call only.</exception>
    protected abstract TResult Read(ReadOnlySpan<byte> head, PooledBytes payload);

    /// <summary>Turns the reason why a call failed into the exception that its caller gets.</summary>
    protected virtual Exception ToException(FabricException exception) => exception;

    /// <summary>Called when the result was taken: the call may be used again.</summary>
    protected abstract void Release();

    /// <summary>The task of a call that was sent; called once, by who sent it.</summary>
    internal ValueTask<TResult> AsTask(CancellationToken cancellationToken)
    {
        if (cancellationToken.CanBeCanceled)
            _cancellation = cancellationToken.UnsafeRegister(static (call, token) => ((FabricCall<TResult>)call!).Cancel(token), this);
        return new ValueTask<TResult>(this, _source.Version);
    }

    internal sealed override void Answered(ReadOnlySpan<byte> head, PooledBytes payload)
    {
        TResult result;
        try
        {
            result = Read(head, payload);
        }
        catch (Exception exception)
        {
            _source.SetException(exception);
            return;
        }

        _source.SetResult(result);
    }

    internal sealed override void Failed(FabricException exception) => _source.SetException(ToException(exception));

    TResult IValueTaskSource<TResult>.GetResult(short token)
    {
        // Waits for a cancellation at work on another thread: it must not meet the next use of this call.
        _cancellation.Dispose();
        _cancellation = default;
        try
        {
            return _source.GetResult(token);
        }
        finally
        {
            _source.Reset();
            Release();
        }
    }

    ValueTaskSourceStatus IValueTaskSource<TResult>.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource<TResult>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    /// <summary>Touches nothing after it has completed the call, which may be in use again then.</summary>
    private void Cancel(CancellationToken token)
    {
        if (Connection!.TryAbandon(this))
            _source.SetException(new OperationCanceledException(token));
    }
}
