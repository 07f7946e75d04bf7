using System.Runtime.InteropServices;

namespace K2Cluster.Cli;

/// <summary>Ctrl-C: the first cancels the work that is under way, the next, or one while nothing is, ends the tool.</summary>
internal sealed class Interrupt : IDisposable
{
    private readonly Lock _lock = new();
    private readonly PosixSignalRegistration _registration;
    private CancellationTokenSource? _work;

    public Interrupt() => _registration = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);

    /// <summary>Runs a piece of work under a token that the first Ctrl-C cancels.</summary>
    public async Task RunAsync(Func<CancellationToken, Task> work)
    {
        using CancellationTokenSource source = new();
        lock (_lock)
            _work = source;
        try
        {
            await work(source.Token);
        }
        finally
        {
            lock (_lock)
                _work = null;
        }
    }

    public void Dispose() => _registration.Dispose();

    private void OnSignal(PosixSignalContext context)
    {
        lock (_lock)
        {
            if (_work is { IsCancellationRequested: false } work)
            {
                context.Cancel = true;
                work.Cancel();
            }
        }
    }
}
