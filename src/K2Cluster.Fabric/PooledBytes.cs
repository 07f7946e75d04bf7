using System.Buffers;

namespace K2Cluster.Fabric;

/// <summary>Bytes in an array of the shared pool. Whoever has them last returns them, once.</summary>
public readonly struct PooledBytes
{
    /// <param name="array">Rented from <see cref="ArrayPool{T}.Shared"/>.</param>
    /// <param name="length">How much of it counts.</param>
    public PooledBytes(byte[] array, int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)array.Length, nameof(length));
        (Array, Length) = (array, length);
    }

    /// <summary>Null when there are none.</summary>
    public byte[]? Array { get; }

    public int Length { get; }

    public Span<byte> Span => Array.AsSpan(0, Length);

    public static PooledBytes Rent(int length) => length == 0 ? default : new(ArrayPool<byte>.Shared.Rent(length), length);

    public void Return()
    {
        if (Array is not null)
            ArrayPool<byte>.Shared.Return(Array);
    }
}
