using System.Diagnostics.CodeAnalysis;

namespace K2Cluster.Contracts;

/// <summary>One device slot of one silo for one model: the key of an <see cref="IExpertShardGrain"/>.</summary>
/// <param name="Model">The served model's cluster id.</param>
/// <param name="Silo">The silo's stable name.</param>
/// <param name="Slot">The device's slot in that silo, from 0.</param>
[GenerateSerializer, Immutable, Alias("k2.ShardId")]
public readonly record struct ShardId([property: Id(0)] string Model, [property: Id(1)] string Silo, [property: Id(2)] int Slot)
{
    /// <summary>"model/silo/slot".</summary>
    public override string ToString() => $"{Model}/{Silo}/{Slot}";

    public static bool TryParse(string key, [NotNullWhen(true)] out ShardId? shard)
    {
        string[] parts = key.Split('/');
        bool valid = parts.Length == 3 && parts[0].Length > 0 && parts[1].Length > 0;
        shard = valid && int.TryParse(parts[2], out int slot) && slot >= 0 ? new ShardId(parts[0], parts[1], slot) : null;
        return shard is not null;
    }
}
