namespace K2Cluster.Fabric.Frames;

/// <summary>
/// Reads frames of a socket, on one thread. Small frames come several with one receive; of a large one, what its first
/// receive left is received straight into its array.
/// </summary>
internal sealed class FrameReader(FabricSocket socket, FabricCounts counts)
{
    private readonly byte[] _buffer = GC.AllocateUninitializedArray<byte>(16 << 10);
    private int _start;
    private int _end;

    /// <summary>Most bytes of a payload. None until the peer is known.</summary>
    public int MaxPayload { get; set; }

    /// <summary>Waits for the next frame. False when the peer ended the stream between two.</summary>
    /// <exception cref="ProtocolException">What came is not a frame that is allowed.</exception>
    /// <exception cref="EndOfStreamException">The peer ended the stream within a frame.</exception>
    public bool TryRead(out Frame frame)
    {
        frame = default;
        if (!TryFill(FrameHeader.Length))
            return false;
        FrameHeader header = FrameHeader.Read(_buffer.AsSpan(_start), MaxPayload);
        int headEnd = FrameHeader.Length + header.HeadLength;
        if (!TryFill(headEnd))
            throw new EndOfStreamException();

        ReadOnlySpan<byte> headerAndHead = _buffer.AsSpan(_start, headEnd);
        _start += headEnd;
        PooledBytes payload = PooledBytes.Rent(header.PayloadLength);
        try
        {
            ReadPayload(payload.Span);
            if (FrameHeader.Hash(headerAndHead, payload.Span) != header.Checksum)
            {
                counts.ChecksumFailed();
                throw new ProtocolException($"a {header.Type} whose checksum is wrong: it was changed on its way");
            }
        }
        catch
        {
            payload.Return();
            throw;
        }

        counts.Received(headEnd + header.PayloadLength);
        frame = new Frame(header, headerAndHead[FrameHeader.Length..], payload);
        return true;
    }

    private void ReadPayload(Span<byte> payload)
    {
        int buffered = Math.Min(payload.Length, _end - _start);
        _buffer.AsSpan(_start, buffered).CopyTo(payload);
        _start += buffered;
        for (payload = payload[buffered..]; payload.Length > 0;)
        {
            int count = socket.Read(payload);
            if (count == 0)
                throw new EndOfStreamException();
            payload = payload[count..];
        }
    }

    /// <summary>Waits until so many bytes are in the buffer. False when there are none and none will come.</summary>
    private bool TryFill(int length)
    {
        if (_start == _end)
            (_start, _end) = (0, 0);
        while (_end - _start < length)
        {
            if (_buffer.Length - _start < length)
            {
                _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
                (_start, _end) = (0, _end - _start);
            }

            int count = socket.Read(_buffer.AsSpan(_end));
            if (count == 0)
                return _end == _start ? false : throw new EndOfStreamException();
            _end += count;
        }

        return true;
    }
}
