using Microsoft.Extensions.Hosting;

namespace K2Cluster.Hosting;

/// <summary>How a part of the process that runs on its own (a device thread, a background service) ends the process: code 1, with the exception's message.</summary>
public sealed class FatalFailure(IHostApplicationLifetime lifetime)
{
    private volatile Exception? _exception;

    internal Exception? Exception => _exception;

    /// <summary>Stops the process. The first exception counts.</summary>
    public void Stop(Exception exception)
    {
        Interlocked.CompareExchange(ref _exception, exception, null);
        lifetime.StopApplication();
    }
}
