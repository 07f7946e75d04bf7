using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Sets a batch's signal whenever a newer plan comes, from when it is first asked to until the batch ends.</summary>
internal sealed class PlanSignal(IPlanSource plans, ManualResetEventSlim signal) : IDisposable
{
    private CancellationTokenSource? _watch;

    /// <summary>Watches for plans newer than <paramref name="known"/>, if it does not watch already.</summary>
    public void Watch(Epoch known)
    {
        if (_watch is null)
            _ = SignalAsync(known, (_watch = new CancellationTokenSource()).Token);
    }

    public void End()
    {
        _watch?.Cancel();
        _watch?.Dispose();
        _watch = null;
    }

    public void Dispose() => End();

    private async Task SignalAsync(Epoch known, CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await plans.WaitForNewerAsync(known, cancellationToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            known = plans.Current!.Epoch;
            signal.Set();
        }
    }
}
