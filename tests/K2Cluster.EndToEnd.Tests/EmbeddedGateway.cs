using K2Cluster.EndToEnd.Tests.Processes;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>One embedded gateway with k2-nano for all tests of a class.</summary>
public sealed class EmbeddedGateway : IAsyncLifetime
{
    private GatewayProcess? _gateway;

    internal GatewayProcess Gateway => _gateway!;

    internal HttpClient Http => Gateway.Http;

    public async Task InitializeAsync() => _gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, []);

    public async Task DisposeAsync() => await _gateway!.DisposeAsync();
}
