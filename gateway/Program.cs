using K2Cluster.Administration;
using K2Cluster.Cluster;
using K2Cluster.Embedding;
using K2Cluster.Gateway;
using K2Cluster.Gateway.Grpc;
using K2Cluster.Gateway.Loading;
using K2Cluster.Hosting;
using K2Cluster.Text;

return await K2Program.RunAsync(args, K2Role.Gateway, Build, Map, typeof(TokenizerException), typeof(ClusterException));

static void Build(WebApplicationBuilder builder, K2Options options)
{
    builder.AddK2Member(options);
    builder.AddK2Experts();
    builder.Services.AddSingleton<IPlacementAccess, PlacementAccess>();
    builder.Services.AddSingleton<ModelService>();
    builder.Services.AddSingleton<IReadiness>(services => services.GetRequiredService<ModelService>());
    builder.Services.AddSingleton<IDrain, RequestDrain>();
    builder.Services.AddHostedService(services => services.GetRequiredService<ModelService>());
    builder.AddGatewayApi(services => services.GetRequiredService<ReadinessGate>() is { IsOpen: false } gate ? gate.PublicReason : null);
}

static void Map(WebApplication app, K2Options options) => app.MapGatewayApi();
