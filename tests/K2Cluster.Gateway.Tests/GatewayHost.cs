using System.Net;
using System.Text;
using System.Text.Json;
using Grpc.Net.Client;
using K2Cluster.Engine;
using K2Cluster.Gateway.Serving;
using K2Cluster.Tests;
using K2Cluster.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;

namespace K2Cluster.Gateway.Tests;

/// <summary>The gateway's APIs on real sockets, with k2-nano's tokenizer and a made-up engine.</summary>
internal sealed class GatewayHost : IAsyncDisposable
{
    public const string Model = "nano";

    public static readonly K2Tokenizer Tokenizer = K2Tokenizer.TryLoad(Repository.Path("models", "k2-nano"))!;

    private readonly WebApplication _app;
    private readonly string[] _urls;

    private GatewayHost(WebApplication app)
    {
        _app = app;
        _urls = [.. app.Urls];
        Http = new HttpClient { BaseAddress = new Uri(_urls[0]), Timeout = TimeSpan.FromSeconds(60) };
        Channel = GrpcChannel.ForAddress(_urls[1]);
    }

    public HttpClient Http { get; }

    public GrpcChannel Channel { get; }

    public ModelGate Gate => _app.Services.GetRequiredService<ModelGate>();

    /// <summary>Why the gateway is not ready; null when it is.</summary>
    public string? NotReady { get; set; }

    public static async Task<GatewayHost> StartAsync(IEngine engine, bool withTokenizer = true, Action<WebApplicationBuilder>? configure = null)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddRoutingCore();
        GatewayHost? host = null;
        configure?.Invoke(builder);
        builder.AddGatewayApi(_ => host?.NotReady);
        WebApplication app = builder.Build();
        app.Services.GetRequiredService<ModelGate>().Open(new ServedModel(Model, engine, withTokenizer ? Tokenizer : null, DateTimeOffset.UnixEpoch));
        app.MapGatewayApi();
        await app.StartAsync();
        return host = new GatewayHost(app);
    }

    public async Task<(HttpStatusCode Status, JsonElement Body)> PostAsync(string path, string body)
    {
        using HttpResponseMessage response = await Http.PostAsync(path, Json(body));
        return (response.StatusCode, JsonElement.Parse(await response.Content.ReadAsStringAsync()));
    }

    /// <summary>The events of a stream, without their frame; the last is "[DONE]".</summary>
    public async Task<List<string>> StreamAsync(string path, string body)
    {
        using HttpResponseMessage response = await Http.PostAsync(path, Json(body));
        string text = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, text);
        Assert.Equal("text/event-stream", response.Content.Headers.ContentType?.MediaType);
        string[] events = text.Split("\n\n");
        Assert.Equal("", events[^1]);
        return [.. events[..^1].Select(line => line.StartsWith("data: ", StringComparison.Ordinal) ? line[6..] : throw new InvalidDataException(line))];
    }

    public static StringContent Json(string body) => new(body, Encoding.UTF8, "application/json");

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        Channel.Dispose();
        // Connections that a test left open are not waited for.
        using CancellationTokenSource now = new(TimeSpan.FromSeconds(2));
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }
}
