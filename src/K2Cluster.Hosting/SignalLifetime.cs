using Microsoft.Extensions.Hosting;

namespace K2Cluster.Hosting;

/// <summary>Instead of the framework's console lifetime: <see cref="K2Program"/> handles signals itself, from before the host exists until after it is gone.</summary>
internal sealed class SignalLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
