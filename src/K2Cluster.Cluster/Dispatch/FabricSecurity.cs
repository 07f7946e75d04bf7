using System.Net.Security;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>The TLS of the fabric: each side shows its certificate and checks the other's. Without one among the services, the fabric is plain.</summary>
/// <param name="Server">Makes the options of the side that listens, for each connection.</param>
/// <param name="Client">Makes the options of the side that connects, likewise.</param>
public sealed record FabricSecurity(Func<SslServerAuthenticationOptions> Server, Func<SslClientAuthenticationOptions> Client);
