using System.Buffers;

namespace K2Cluster.Contracts;

/// <summary>A rented byte buffer with one owner.</summary>
public abstract class PooledPayload : IDisposable
{
    private byte[]? _buffer;

    protected PooledPayload()
    {
    }

    public int Length { get; private set; }

    /// <summary>The payload's bytes; empty when none were rented.</summary>
    public Memory<byte> Payload => Length == 0 ? default : (_buffer ?? throw new ObjectDisposedException(GetType().Name)).AsMemory(0, Length);

    /// <summary>Rents room for <paramref name="length"/> bytes; called once, by who fills it.</summary>
    public void Rent(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (_buffer is not null)
            throw new InvalidOperationException("The payload was rented already.");
        _buffer = ArrayPool<byte>.Shared.Rent(length);
        Length = length;
    }

    /// <summary>Takes over an array of the shared pool whose first bytes are the payload; instead of <see cref="Rent"/>, by who has it already.</summary>
    public void Adopt(byte[]? buffer, int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)length, (uint)(buffer?.Length ?? 0), nameof(length));
        if (_buffer is not null)
            throw new InvalidOperationException("The payload was rented already.");
        (_buffer, Length) = (buffer, length);
    }

    /// <summary>Gives the array away, which is the caller's to return; null when there is none. <see cref="Length"/> of it count.</summary>
    public byte[]? Detach() => Interlocked.Exchange(ref _buffer, null);

    /// <summary>Returns the buffer, once. A payload that somebody else may still read is not disposed but left to the garbage collector.</summary>
    public void Dispose()
    {
        byte[]? buffer = Interlocked.Exchange(ref _buffer, null);
        if (buffer is not null)
            ArrayPool<byte>.Shared.Return(buffer);
        GC.SuppressFinalize(this);
    }
}
