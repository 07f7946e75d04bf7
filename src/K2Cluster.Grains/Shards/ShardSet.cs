using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;

namespace K2Cluster.Grains.Shards;

/// <summary>The shards of this process. Filled when their devices are ready, emptied when the process ends.</summary>
internal sealed class ShardSet : ILocalShards, IDisposable
{
    private readonly ConcurrentDictionary<ShardId, ExpertShard> _shards = new();
    private readonly SemaphoreSlim _changed = new(0, 1);
    private volatile ExpertShard[] _lives = [];

    public IEnumerable<ExpertShard> All => _shards.Values.OrderBy(shard => shard.Identity.Id.Slot);

    public void Add(ExpertShard shard)
    {
        if (!_shards.TryAdd(shard.Identity.Id, shard))
            throw new InvalidOperationException($"There is a shard {shard.Identity.Id} already.");

        // Frames are looked up in an array: walking the dictionary makes an object each time. Shards are added by one thread.
        _lives = [.. _lives, shard];
        shard.Changed += Wake;
        Wake();
    }

    public bool TryGet(ShardId shard, [NotNullWhen(true)] out ILocalShard? local)
    {
        bool found = _shards.TryGetValue(shard, out ExpertShard? here);
        local = here;
        return found;
    }

    public bool TryGetShard(ShardId id, [NotNullWhen(true)] out ExpertShard? shard) => _shards.TryGetValue(id, out shard);

    /// <summary>The shard of a life, if it is one of these.</summary>
    public bool TryGetLife(long incarnation, [NotNullWhen(true)] out ExpertShard? shard)
    {
        foreach (ExpertShard candidate in _lives)
        {
            if (candidate.Identity.Incarnation == incarnation)
            {
                shard = candidate;
                return true;
            }
        }

        shard = null;
        return false;
    }

    /// <summary>Ends <see cref="WaitForChangeAsync"/> as a change does.</summary>
    public void Wake()
    {
        lock (_changed)
        {
            if (_changed.CurrentCount == 0)
                _changed.Release();
        }
    }

    /// <summary>Ends at the next change, or the one since the last call, or after <paramref name="longest"/>.</summary>
    public Task WaitForChangeAsync(TimeSpan longest, CancellationToken cancellationToken) => _changed.WaitAsync(longest, cancellationToken);

    public void Dispose()
    {
        _lives = [];
        foreach (ExpertShard shard in _shards.Values)
            shard.Dispose();
        _shards.Clear();
    }
}
