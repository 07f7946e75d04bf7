using K2Cluster.Gateway.Serving;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace K2Cluster.Gateway.Grpc;

/// <summary>What grpc.health.v1.Health answers: SERVING exactly while new work is taken.</summary>
internal sealed class ReadinessCheck(ModelGate gate) : IHealthCheck
{
    public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        try
        {
            _ = gate.Ready;
            return Task.FromResult(HealthCheckResult.Healthy());
        }
        catch (RequestException reason)
        {
            return Task.FromResult(HealthCheckResult.Unhealthy(reason.Message));
        }
    }
}
