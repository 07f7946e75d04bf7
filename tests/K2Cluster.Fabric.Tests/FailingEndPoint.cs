using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace K2Cluster.Fabric.Tests;

/// <summary>An end point to which connecting fails for reasons of this host or its network, as often as the test says: what makes a socket asks for the family first.</summary>
internal sealed class FailingEndPoint(IPEndPoint endPoint) : IPEndPoint(endPoint.Address, endPoint.Port)
{
    private int _asked;

    public ConcurrentQueue<Exception> Failures { get; } = [];

    /// <summary>How often it was asked: once or more for each attempt.</summary>
    public int Asked => Volatile.Read(ref _asked);

    public override AddressFamily AddressFamily
    {
        get
        {
            Interlocked.Increment(ref _asked);
            return Failures.TryDequeue(out Exception? failure) ? throw failure : base.AddressFamily;
        }
    }
}
