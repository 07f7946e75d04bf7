using K2Cluster.Gateway.Serving;
using K2Cluster.Hosting;

namespace K2Cluster.Gateway.Loading;

/// <summary>A gateway that was asked to stop takes no request any more and finishes those that it has.</summary>
internal sealed class RequestDrain(ModelGate gate) : IDrain
{
    public Task DrainAsync(CancellationToken timeIsUp) => gate.DrainAsync(timeIsUp);
}
