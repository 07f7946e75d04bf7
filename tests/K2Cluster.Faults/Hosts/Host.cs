using K2Cluster.EndToEnd.Tests.Processes;

namespace K2Cluster.Faults.Hosts;

/// <summary>A host of the network: a namespace with an address of its own, where there are namespaces, else this machine.</summary>
/// <param name="Name">Of its silo, or gateway.</param>
/// <param name="Address">Its own.</param>
/// <param name="Namespace">Null: the machine's own.</param>
internal sealed record Host(string Name, string Address, string? Namespace)
{
    public static readonly Host Local = new("local", "127.0.0.1", null);

    public ChildProcess Start(IEnumerable<string> command, IReadOnlyDictionary<string, string>? environment = null) =>
        Namespace is null
            ? ChildProcess.Start(command.First(), command.Skip(1), environment)
            : ChildProcess.Start("ip", ["netns", "exec", Namespace, .. command], environment);
}
