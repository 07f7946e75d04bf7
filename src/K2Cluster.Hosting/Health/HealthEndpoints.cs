using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;

namespace K2Cluster.Hosting;

/// <summary>What orchestrators and Prometheus ask of either executable.</summary>
public static class HealthEndpoints
{
    private static readonly string[] Looks = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>
    /// Maps /healthz (200 while the process runs), /readyz (200 or 503, with the reason as text) and /metrics (Prometheus).
    /// <see cref="K2Program"/> does so by itself; a test that builds its own host calls it.
    /// </summary>
    public static void MapK2Health(this WebApplication app)
    {
        ReadinessGate gate = app.Services.GetRequiredService<ReadinessGate>();
        app.MapMethods("/healthz", Looks, Healthy);
        app.MapMethods("/readyz", Looks, context => Answer(context, gate.IsOpen ? StatusCodes.Status200OK : StatusCodes.Status503ServiceUnavailable, gate.Reason));
        app.MapPrometheusScrapingEndpoint("/metrics");
    }

    // RequestDelegates, not minimal-API handlers: those are compiled at start, which costs tens of milliseconds.
    private static Task Healthy(HttpContext context) => Answer(context, StatusCodes.Status200OK, "alive");

    private static Task Answer(HttpContext context, int status, string text)
    {
        context.Response.StatusCode = status;
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        return context.Response.WriteAsync(text + "\n", context.RequestAborted);
    }
}
