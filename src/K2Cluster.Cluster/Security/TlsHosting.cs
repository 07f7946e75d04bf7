using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Configuration;

namespace K2Cluster.Cluster.Security;

/// <summary>Puts TLS under every connection of a member, and of a tool that asks one.</summary>
internal static class TlsHosting
{
    public static void UseTls(this ISiloBuilder silo, ClusterCertificates certificates)
    {
        silo.Services.AddMiddleware(certificates);
        silo.Configure<SiloConnectionOptions>(connections =>
        {
            connections.ConfigureSiloInboundConnection(connection => connection.Use(Middleware(connection).Inbound));
            connections.ConfigureSiloOutboundConnection(connection => connection.Use(Middleware(connection).Outbound));
            connections.ConfigureGatewayInboundConnection(connection => connection.Use(Middleware(connection).Inbound));
        });
    }

    /// <summary>For a tool that is no member: it shows a certificate of the authority as they do.</summary>
    public static void UseTls(this IClientBuilder client, ClusterCertificates certificates)
    {
        client.Services.AddMiddleware(certificates);
        client.Services.Configure<ClientConnectionOptions>(connections => connections.ConfigureConnection(connection => connection.Use(Middleware(connection).Outbound)));
    }

    private static void AddMiddleware(this IServiceCollection services, ClusterCertificates certificates)
    {
        services.AddSingleton<RefusalLog>();
        services.AddSingleton(container => new TlsMiddleware(certificates, container.GetRequiredService<RefusalLog>(), container.GetRequiredService<TimeProvider>()));
    }

    private static TlsMiddleware Middleware(IConnectionBuilder connection) => connection.ApplicationServices.GetRequiredService<TlsMiddleware>();
}
