using Orleans.Clustering.Redis;
using StackExchange.Redis;

namespace K2Cluster.Cluster.Membership;

/// <summary>Orleans' Redis provider, told to fail clearly when Redis is not there at the start. Later, it reconnects by itself.</summary>
internal static class RedisMembership
{
    private const int StartPatienceMilliseconds = 5_000;

    public static void Configure(RedisClusteringOptions clustering, string redis)
    {
        try
        {
            clustering.ConfigurationOptions = ConfigurationOptions.Parse(redis);
        }
        catch (ArgumentException exception)
        {
            throw new ClusterException($"Redis cannot be found by '{EndPointOf(redis)}' and its options: {exception.Message}", exception);
        }

        clustering.ConfigurationOptions.AbortOnConnectFail = true;
        clustering.ConfigurationOptions.ConnectTimeout = StartPatienceMilliseconds;
        clustering.ConfigurationOptions.ConnectRetry = 1;
        clustering.CreateMultiplexer = async options =>
        {
            try
            {
                return (await ConnectionMultiplexer.ConnectAsync(options.ConfigurationOptions!).ConfigureAwait(false), false);
            }
            catch (RedisException exception)
            {
                throw new ClusterException($"Redis at {EndPointOf(redis)} does not answer within {StartPatienceMilliseconds / 1000} s or refuses us: start it, or correct --redis. ({FirstLine(exception.Message)})", exception);
            }
        };
    }

    /// <summary>Options behind the comma may hold a password.</summary>
    private static string EndPointOf(string redis) => redis.Split(',')[0];

    private static string FirstLine(string text) => text.ReplaceLineEndings("\n").Split('\n')[0];
}
