namespace K2Cluster.Cluster.Plans.Stores;

/// <summary>For a cluster of one process, which forgets its members, too.</summary>
internal sealed class MemoryPlanStore : IPlanStore
{
    private volatile byte[]? _record;

    public Task<byte[]?> ReadAsync(CancellationToken cancellationToken) => Task.FromResult(_record);

    public Task WriteAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken)
    {
        _record = record.ToArray();
        return Task.CompletedTask;
    }

    public Task<string> SetAsideAsync(CancellationToken cancellationToken)
    {
        _record = null;
        return Task.FromResult("nowhere");
    }
}
