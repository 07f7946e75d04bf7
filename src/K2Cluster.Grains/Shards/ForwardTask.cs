using K2Cluster.Contracts;

namespace K2Cluster.Grains.Shards;

/// <summary>Waits as a task.</summary>
internal sealed class ForwardTask : IForwardReceiver
{
    private readonly TaskCompletionSource<ExpertReply> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private CancellationTokenRegistration _registration;

    public Task<ExpertReply> Task => _completion.Task;

    public bool IsCancelled => _completion.Task.IsCompleted;

    /// <summary>Ends the task, not the frame, when the token is cancelled.</summary>
    public void CancelWith(CancellationToken cancellationToken)
    {
        if (!cancellationToken.CanBeCanceled)
            return;
        _registration = cancellationToken.UnsafeRegister(static (state, token) => ((ForwardTask)state!)._completion.TrySetCanceled(token), this);
        if (_completion.Task.IsCompleted)
            _registration.Dispose();
    }

    public void Complete(ExpertReply reply)
    {
        _registration.Dispose();
        if (!_completion.TrySetResult(reply))
            reply.Dispose();
    }

    public void Fail(Exception exception)
    {
        _registration.Dispose();
        _completion.TrySetException(exception);
    }
}
