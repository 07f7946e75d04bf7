using System.Text.Json;
using System.Text.Json.Serialization;
using K2Cluster.Cluster.Plans.Stores;

namespace K2Cluster.Grains.Placement;

/// <summary>What a placement leaves to the one after it.</summary>
internal sealed record PlanRecord
{
    public const int CurrentFormat = 1;

    public int Format { get; init; } = CurrentFormat;

    /// <summary>No plan, and no assignment, has had an epoch of a later generation.</summary>
    public required long Generation { get; init; }

    public required PlacementWishes Wishes { get; init; }

    /// <exception cref="FormatException">These bytes are no such record.</exception>
    public static PlanRecord Parse(ReadOnlySpan<byte> bytes, DateTimeOffset now)
    {
        if (bytes.Length > IPlanStore.MostBytes)
            throw new FormatException($"it has more than {IPlanStore.MostBytes} bytes");
        PlanRecord record;
        try
        {
            record = JsonSerializer.Deserialize(bytes, PlanJson.Default.PlanRecord) ?? throw new FormatException("it is null");
        }
        catch (JsonException exception)
        {
            throw new FormatException(exception.Message, exception);
        }

        return record.Format != CurrentFormat ? throw new FormatException($"its format is {record.Format}, this version reads {CurrentFormat}")
            : record.Generation < 0 || record.Generation > now.AddYears(1).ToUnixTimeMilliseconds() ? throw new FormatException($"its generation {record.Generation} is more than a year ahead of this host's clock, or none")
            : record.Wishes.Drained.Contains(null!) || record.Wishes.Pinned.Any(pinned => pinned is null || pinned.Shards.IsDefault || pinned.Shards.Contains(null!)) || record.Wishes.Copies.Contains(null!) ? throw new FormatException("a name in it is null")
            : record;
    }

    /// <exception cref="ArgumentException">It is too large to be kept.</exception>
    public byte[] ToBytes()
    {
        byte[] bytes = JsonSerializer.SerializeToUtf8Bytes(this, PlanJson.Default.PlanRecord);
        return bytes.Length <= IPlanStore.MostBytes ? bytes : throw new ArgumentException($"The wishes for the placement take {bytes.Length} bytes, at most {IPlanStore.MostBytes} can be kept: take some back.");
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(PlanRecord))]
internal sealed partial class PlanJson : JsonSerializerContext;
