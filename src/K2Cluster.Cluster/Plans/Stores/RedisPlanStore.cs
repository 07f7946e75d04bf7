using K2Cluster.Cluster.Membership;
using StackExchange.Redis;

namespace K2Cluster.Cluster.Plans.Stores;

/// <summary>A key in the Redis of the members, over the connection that reads their table.</summary>
internal sealed class RedisPlanStore(RedisConnection redis, string clusterId) : IPlanStore
{
    private readonly RedisKey _key = $"k2cluster/plan/{clusterId}";

    public async Task<byte[]?> ReadAsync(CancellationToken cancellationToken)
    {
        IDatabase database = await DatabaseAsync(cancellationToken).ConfigureAwait(false);

        // One byte more than a record may have tells that it has more.
        byte[]? record = await database.StringGetRangeAsync(_key, 0, IPlanStore.MostBytes).WaitAsync(cancellationToken).ConfigureAwait(false);
        return record is { Length: > 0 } ? record : null;
    }

    public async Task WriteAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken)
    {
        IDatabase database = await DatabaseAsync(cancellationToken).ConfigureAwait(false);
        await database.StringSetAsync(_key, record).WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    public async Task<string> SetAsideAsync(CancellationToken cancellationToken)
    {
        IDatabase database = await DatabaseAsync(cancellationToken).ConfigureAwait(false);
        RedisKey aside = _key.Append("/unreadable");
        await database.KeyRenameAsync(_key, aside).WaitAsync(cancellationToken).ConfigureAwait(false);
        return $"Redis' key {aside}";
    }

    private async Task<IDatabase> DatabaseAsync(CancellationToken cancellationToken)
    {
        IConnectionMultiplexer connection = await redis.ConnectAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        return connection.GetDatabase();
    }
}
