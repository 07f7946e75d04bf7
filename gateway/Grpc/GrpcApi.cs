using K2Cluster.Administration;
using K2Cluster.Gateway.OpenAi;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace K2Cluster.Gateway.Grpc;

/// <summary>The gRPC side: inference, administration, health, reflection.</summary>
internal static class GrpcApi
{
    /// <summary>The service's name as health checks ask for it; the empty name is answered alike.</summary>
    public const string ServiceName = "k2cluster.v1.Inference";

    public static void AddGrpcApi(this IServiceCollection services)
    {
        services.AddGrpc(grpc =>
        {
            grpc.MaxReceiveMessageSize = JsonBody.MaxBytes;
            // Else gRPC claims every path of two parts, and routing's 404 and 405 are no longer told apart.
            grpc.IgnoreUnknownServices = true;
            grpc.Interceptors.Add<ErrorInterceptor>();
        });
        services.AddSingleton<PlacementAdmin>();
        services.AddGrpcReflection();
        services.AddGrpcHealthChecks(health => health.Services.Map(ServiceName, _ => true))
            .AddCheck<ReadinessCheck>("ready");
        // What a client that watches sees; one that asks is answered from the gate itself.
        services.Configure<HealthCheckPublisherOptions>(publisher =>
        {
            publisher.Delay = TimeSpan.FromSeconds(1);
            publisher.Period = TimeSpan.FromSeconds(1);
        });
    }

    public static void MapGrpcApi(this IEndpointRouteBuilder routes)
    {
        routes.MapGrpcService<InferenceService>();
        routes.MapGrpcService<AdminService>();
        routes.MapGrpcHealthChecksService();
        routes.MapGrpcReflectionService();
    }
}
