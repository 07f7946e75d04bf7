using System.CommandLine;
using K2Cluster.Cluster;
using Microsoft.Extensions.Configuration;

namespace K2Cluster.Hosting;

/// <summary>The options by which a process finds its cluster, for a tool that is no member of it: read, checked and looked for in the environment as a silo's.</summary>
public sealed class ClusterOptionSet
{
    private static readonly string[] Names = ["--cluster", "--redis", "--cluster-id", "--tls-cert", "--tls-key", "--tls-ca", "--model"];

    private readonly (Option Option, K2OptionEntry Entry)[] _options;

    /// <param name="note">Stands behind each option's help.</param>
    public ClusterOptionSet(string note) =>
        _options = [.. Names.Select(name => K2OptionTable.Entries.First(entry => entry.Name == name)).Select(entry => entry with { Help = $"{HelpOf(entry)} {note}" }).Select(entry => (K2CommandLine.OptionOf(entry), entry))];

    public IEnumerable<Option> Options => _options.Select(option => option.Option);

    /// <summary>Those that were on the command line.</summary>
    public IEnumerable<string> GivenIn(ParseResult parsed) => Options.Where(option => parsed.GetResult(option) is { Implicit: false }).Select(option => option.Name);

    /// <param name="parsed">The command line.</param>
    /// <param name="toolName">What the tool calls itself.</param>
    /// <exception cref="K2OptionsException">A value is not allowed.</exception>
    /// <exception cref="K2FailureException">The model's directory does not exist.</exception>
    public ClusterOptions Read(ParseResult parsed, string toolName)
    {
        IConfigurationRoot configuration = new ConfigurationBuilder()
            .AddEnvironmentVariables()
            .Add(new K2CommandLineSource(K2CommandLine.Values(parsed, _options)))
            .Build();
        return new K2OptionsReader(configuration, K2Role.Silo).ReadCluster(toolName);
    }

    private static string HelpOf(K2OptionEntry entry) => entry.Name switch
    {
        "--cluster" => "How the silos are found. localhost: on this machine; redis: anywhere, through --redis [default: localhost]",
        "--model" => "The silos' --model, where they have no --cluster-id [default: as theirs]",
        "--cluster-id" => "The silos' --cluster-id [default: from --model]",
        "--tls-cert" => "A certificate of the cluster's authority (PEM), where the silos have some; with --tls-key and --tls-ca",
        _ => entry.Help,
    };
}
