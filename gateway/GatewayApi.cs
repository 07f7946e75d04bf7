using K2Cluster.Gateway.Grpc;
using K2Cluster.Gateway.OpenAi;
using K2Cluster.Gateway.Serving;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace K2Cluster.Gateway;

/// <summary>Both APIs of a gateway, over one <see cref="ModelGate"/>.</summary>
internal static class GatewayApi
{
    /// <summary>Clients connected at once; one more is turned away. Of their bodies, <see cref="BodyIntake"/> bounds the sum.</summary>
    private const int MaxConnections = 1024;

    /// <param name="builder">The host, its addresses set.</param>
    /// <param name="notReady">Why new work cannot be done now, in words for clients, who may be strangers; null when it can.</param>
    public static void AddGatewayApi(this WebApplicationBuilder builder, Func<IServiceProvider, string?> notReady)
    {
        // Asked of the services late: what knows of readiness opens the gate, too.
        builder.Services.AddSingleton(services => new ModelGate(() => notReady(services)));
        builder.Services.TryAddSingleton(TimeProvider.System);
        builder.Services.TryAddSingleton<BodyIntake>(_ => new BodyIntake());
        builder.Services.AddGrpcApi();
        // An error a second while the model loads: readiness says it better.
        builder.Logging.AddFilter("Microsoft.Extensions.Diagnostics.HealthChecks", LogLevel.None);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            KestrelServerLimits limits = kestrel.Limits;
            limits.MaxRequestBodySize = JsonBody.MaxBytes;
            limits.MaxConcurrentConnections = MaxConnections;
            limits.RequestHeadersTimeout = TimeSpan.FromSeconds(15);
            // Slow senders and slow readers lose their connection: Kestrel's 240 bytes a second after 5 s of grace.
        });
    }

    public static void MapGatewayApi(this WebApplication app)
    {
        app.UseMiddleware<ErrorMiddleware>();
        app.Use(CountedBody.InvokeAsync);
        app.MapOpenAi();
        app.MapGrpcApi();
    }
}
