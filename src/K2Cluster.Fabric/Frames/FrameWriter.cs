namespace K2Cluster.Fabric.Frames;

/// <summary>
/// Sends frames of any number of threads. A small one that nothing is in the way of is written by its caller: waking a
/// thread would cost more than the write. All else waits in a bounded queue that one thread drains, several frames a send.
/// So a peer that stops reading stops that thread and no other.
/// </summary>
internal sealed class FrameWriter : IDisposable
{
    private readonly FabricSocket _socket;
    private readonly Action<Exception> _onFailed;
    private readonly FabricCounts _counts;
    private readonly int _inlineBytes;
    private readonly int _queueBytes;
    private readonly byte[] _output;
    private readonly object _gate = new();
    private readonly Queue<Waiting> _queue;
    private readonly int _maxFrames;
    private readonly Thread _thread;
    private int _queued;
    private bool _isWriting;
    private bool _closed;

    /// <param name="name">The connection's, for the thread.</param>
    /// <param name="socket">Written by this writer alone.</param>
    /// <param name="options">The limits.</param>
    /// <param name="onFailed">Called, by any thread, with what ended a write.</param>
    public FrameWriter(string name, FabricSocket socket, FabricOptions options, Action<Exception> onFailed)
    {
        (_socket, _onFailed, _counts, _queueBytes) = (socket, onFailed, options.Counts, options.QueueBytes);
        _inlineBytes = Math.Min(options.InlineBytes, socket.SafeWriteBytes);
        _output = GC.AllocateUninitializedArray<byte>(Math.Max(_inlineBytes, 16 << 10));

        // An answer for each slot, as many cancellations, and pings.
        _maxFrames = (2 * options.Slots) + 64;
        _queue = new Queue<Waiting>(64);
        _thread = new Thread(Run) { Name = $"k2-fabric-write {name}", IsBackground = true };
        _thread.Start();
    }

    /// <summary>Sends a frame now or soon; never waits for the peer. A frame that is taken takes its payload along.</summary>
    public SendOutcome TrySend(FrameType type, ulong id, ReadOnlySpan<byte> head, PooledBytes payload)
    {
        int length = FrameHeader.Length + head.Length + payload.Length;
        bool isMine = false;
        lock (_gate)
        {
            if (_closed)
                return SendOutcome.Closed;
            if (!_isWriting && _queue.Count == 0 && length <= _inlineBytes && _socket.CanWrite)
                _isWriting = isMine = true;
        }

        if (!isMine)
            return Enqueue(type, id, head, payload, length);
        try
        {
            int used = FrameHeader.Write(_output, type, id, head, payload.Span);
            payload.Span.CopyTo(_output.AsSpan(used));
            payload.Return();
            _socket.Write(_output.AsSpan(0, length));
            _counts.Sent(length);
        }
        catch (Exception exception)
        {
            _onFailed(exception);
        }

        Release();
        return SendOutcome.Taken;
    }

    /// <summary>Takes nothing more; what waits is dropped. The socket must be ended, too: a write under way waits for it.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed)
                return;
            _closed = true;
            Monitor.PulseAll(_gate);
        }

        _thread.Join();
        lock (_gate)
        {
            while (_isWriting)
                Monitor.Wait(_gate);
            while (_queue.TryDequeue(out Waiting waiting))
                waiting.Return();
        }
    }

    private SendOutcome Enqueue(FrameType type, ulong id, ReadOnlySpan<byte> head, PooledBytes payload, int length)
    {
        PooledBytes start = PooledBytes.Rent(FrameHeader.Length + head.Length);
        FrameHeader.Write(start.Span, type, id, head, payload.Span);
        SendOutcome outcome;
        lock (_gate)
        {
            // Requests are bounded by their connection's slots already.
            bool isFull = type != FrameType.Request && (_queue.Count >= _maxFrames || _queued + length > _queueBytes);
            outcome = _closed ? SendOutcome.Closed : isFull ? SendOutcome.Full : SendOutcome.Taken;
            if (outcome == SendOutcome.Taken)
            {
                _queue.Enqueue(new Waiting(start, payload));
                _queued += length;
                if (!_isWriting)
                    Monitor.PulseAll(_gate);
                return outcome;
            }
        }

        start.Return();
        return outcome;
    }

    private void Release()
    {
        lock (_gate)
        {
            _isWriting = false;
            if (_closed || _queue.Count > 0)
                Monitor.PulseAll(_gate);
        }
    }

    private void Run()
    {
        while (true)
        {
            lock (_gate)
            {
                while (!_closed && (_isWriting || _queue.Count == 0))
                    Monitor.Wait(_gate);
                if (_closed)
                    return;
                _isWriting = true;
            }

            try
            {
                Drain();
            }
            catch (Exception exception)
            {
                _onFailed(exception);
                lock (_gate)
                    _closed = true;
            }

            Release();
        }
    }

    /// <summary>Writes what waits: as much as the buffer holds with one send, large payloads from where they are.</summary>
    private void Drain()
    {
        int used = 0;
        while (TryDequeue(out Waiting waiting))
        {
            try
            {
                Append(waiting.Start.Span, ref used);
                Append(waiting.Payload.Span, ref used);
            }
            finally
            {
                waiting.Return();
            }

            _counts.Sent(waiting.Length);
        }

        _socket.Write(_output.AsSpan(0, used));
    }

    private void Append(ReadOnlySpan<byte> bytes, ref int used)
    {
        if (bytes.Length > _output.Length - used)
        {
            _socket.Write(_output.AsSpan(0, used));
            used = 0;
        }

        if (bytes.Length > _output.Length)
        {
            _socket.Write(bytes);
            return;
        }

        bytes.CopyTo(_output.AsSpan(used));
        used += bytes.Length;
    }

    private bool TryDequeue(out Waiting waiting)
    {
        lock (_gate)
        {
            if (_closed || !_queue.TryDequeue(out waiting))
            {
                waiting = default;
                return false;
            }

            _queued -= waiting.Length;
            return true;
        }
    }

    private readonly record struct Waiting(PooledBytes Start, PooledBytes Payload)
    {
        public int Length => Start.Length + Payload.Length;

        public void Return()
        {
            Start.Return();
            Payload.Return();
        }
    }
}
