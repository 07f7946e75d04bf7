using System.Net;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace K2Cluster.Hosting;

/// <summary>Where Kestrel listens in fact, in the order of the options: it writes the port that it got into its own options.</summary>
internal sealed class BoundAddresses
{
    private readonly List<ListenOptions> _listeners = [];

    public IPEndPoint this[int index] => _listeners[index].IPEndPoint!;

    public void Add(ListenOptions listener) => _listeners.Add(listener);
}
