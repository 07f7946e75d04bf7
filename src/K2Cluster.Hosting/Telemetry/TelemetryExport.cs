using System.Reflection;
using K2Cluster.Telemetry;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using OpenTelemetry.Trace;

namespace K2Cluster.Hosting;

/// <summary>Sends what <see cref="K2Telemetry"/> names to where operators look: Prometheus at /metrics always, OTLP when OTEL_EXPORTER_OTLP_ENDPOINT (or its _METRICS_/_TRACES_ variants) is set.</summary>
public static class TelemetryExport
{
    /// <summary>Streams of k2.expert.tokens: a large K2 has 60 layers × 384 experts = 23,040, and a silo may hold them on two devices.</summary>
    public const int ExpertTokenStreams = 49_152;

    private const string OtlpEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT";

    public static void AddK2Telemetry(this IServiceCollection services, IConfiguration configuration, K2Options options)
    {
        bool otlpMetrics = IsSet(OtlpEndpoint) || IsSet("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        bool otlpTraces = IsSet(OtlpEndpoint) || IsSet("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");

        OpenTelemetryBuilder telemetry = services.AddOpenTelemetry()
            .ConfigureResource(resource => resource
                .AddService(options.Role == K2Role.Gateway ? "k2-gateway" : "k2-silo", serviceVersion: Version(), serviceInstanceId: options.SiloName)
                .AddEnvironmentVariableDetector())
            .WithMetrics(metrics =>
            {
                metrics.AddMeter(K2Telemetry.MeterNames);
                metrics.AddMeter("Microsoft.Orleans");
                metrics.AddAspNetCoreInstrumentation();
                metrics.AddRuntimeInstrumentation();
                metrics.AddView("k2.expert.tokens", new MetricStreamConfiguration { CardinalityLimit = ExpertTokenStreams + 1 });
                metrics.AddPrometheusExporter();
                if (otlpMetrics)
                    metrics.AddOtlpExporter();
            });

        // Without somebody to send traces to, no activity is ever made: calls stay as cheap as they are.
        if (otlpTraces)
        {
            telemetry.WithTracing(traces =>
            {
                // Orleans' other sources (Runtime, Lifecycle, Storage) are about the cluster itself and drown the requests.
                traces.AddSource(K2Telemetry.ActivitySourceName, "Microsoft.Orleans.Application");
                traces.AddAspNetCoreInstrumentation(http => http.Filter = IsWork);
                traces.AddOtlpExporter();
            });
        }

        bool IsSet(string variable) => !string.IsNullOrWhiteSpace(configuration[variable]);
    }

    /// <summary>The version of K2Cluster, without the commit that the SDK appends.</summary>
    internal static string Version() =>
        typeof(TelemetryExport).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0.0.0";

    private static bool IsWork(HttpContext context) =>
        context.Request.Path.Value is not ("/healthz" or "/readyz" or "/metrics");
}
