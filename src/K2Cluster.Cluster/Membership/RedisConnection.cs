using StackExchange.Redis;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// This process's connection to Redis, made when first asked for. It fails clearly when Redis is not there at the start;
/// later, it reconnects by itself.
/// </summary>
internal sealed class RedisConnection : IAsyncDisposable
{
    private const int StartPatienceMilliseconds = 5_000;

    private readonly string _redis;
    private readonly Lock _lock = new();
    private Task<IConnectionMultiplexer>? _connection;

    /// <param name="redis">"HOST:PORT", options behind commas.</param>
    /// <exception cref="ClusterException">It is not that.</exception>
    public RedisConnection(string redis)
    {
        _redis = redis;
        try
        {
            Options = ConfigurationOptions.Parse(redis);
        }
        catch (ArgumentException exception)
        {
            throw new ClusterException($"Redis cannot be found by '{EndPoint}' and its options: {exception.Message}", exception);
        }

        Options.AbortOnConnectFail = true;
        Options.ConnectTimeout = StartPatienceMilliseconds;
        Options.ConnectRetry = 1;
    }

    public ConfigurationOptions Options { get; }

    /// <summary>Options behind the comma may hold a password.</summary>
    private string EndPoint => _redis.Split(',')[0];

    /// <exception cref="ClusterException">Redis does not answer, or refuses us.</exception>
    public Task<IConnectionMultiplexer> ConnectAsync()
    {
        lock (_lock)
            return _connection = _connection is null or { IsFaulted: true } ? ConnectOnceAsync() : _connection;
    }

    public async ValueTask DisposeAsync()
    {
        if (_connection is { IsCompletedSuccessfully: true } connection)
            await (await connection.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
    }

    private static string FirstLine(string text) => text.ReplaceLineEndings("\n").Split('\n')[0];

    private async Task<IConnectionMultiplexer> ConnectOnceAsync()
    {
        try
        {
            return await ConnectionMultiplexer.ConnectAsync(Options).ConfigureAwait(false);
        }
        catch (RedisException exception)
        {
            throw new ClusterException($"Redis at {EndPoint} does not answer within {StartPatienceMilliseconds / 1000} s or refuses us: start it, or correct --redis. ({FirstLine(exception.Message)})", exception);
        }
    }
}
