using Microsoft.Extensions.Configuration;

namespace K2Cluster.Hosting;

/// <summary>What stood on the command line, as a configuration source: a type of its own, so that messages can tell where a value came from.</summary>
internal sealed class K2CommandLineSource(IReadOnlyDictionary<string, string?> values) : IConfigurationSource
{
    public IConfigurationProvider Build(IConfigurationBuilder builder) => new K2CommandLineProvider(values);
}

internal sealed class K2CommandLineProvider : ConfigurationProvider
{
    public K2CommandLineProvider(IReadOnlyDictionary<string, string?> values)
    {
        foreach ((string key, string? value) in values)
            Data[key] = value;
    }
}
