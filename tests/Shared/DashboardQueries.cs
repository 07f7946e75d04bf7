using System.Text.Json;

namespace K2Cluster.Tests;

/// <summary>The PromQL of deploy/grafana/dashboards, ready to be sent to a Prometheus.</summary>
internal static class DashboardQueries
{
    /// <summary>Every expression of every panel, with the title of its panel; template variables replaced.</summary>
    /// <param name="rateInterval">What stands for $__rate_interval: at least four scrapes, as Grafana would choose.</param>
    public static IEnumerable<(string Panel, string Query)> Read(string rateInterval)
    {
        foreach (string file in Directory.EnumerateFiles(Repository.Path("deploy", "grafana", "dashboards"), "*.json").Order(StringComparer.Ordinal))
        {
            using JsonDocument dashboard = JsonDocument.Parse(File.ReadAllBytes(file));
            foreach (JsonElement panel in dashboard.RootElement.GetProperty("panels").EnumerateArray())
            {
                foreach (JsonElement target in panel.GetProperty("targets").EnumerateArray())
                    yield return (panel.GetProperty("title").GetString()!, Fill(target.GetProperty("expr").GetString()!, rateInterval));
            }
        }
    }

    private static string Fill(string expression, string rateInterval)
    {
        string query = expression.Replace("$__rate_interval", rateInterval).Replace("$shard", ".*");
        return query.Contains('$') ? throw new InvalidDataException($"A variable that this reader does not know: {expression}") : query;
    }
}
