using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;

namespace K2Cluster.Kernels.Experts;

/// <summary>
/// All experts on one device of this process, behind its own worker thread: for tests and tools. Batches are done in the
/// order of their submission.
/// </summary>
public sealed class LocalExperts : IExperts, IDisposable
{
    // Neither a Lock nor events of the slim kind: both make objects at their first wait, on the trunk's thread.
    private readonly object _gate = new();
    private readonly IExpertDevice _device;
    private readonly bool _ownsDevice;
    private readonly ExpertWork _work;
    private readonly Slot[] _slots;
    private readonly Queue<Slot> _queue;
    private readonly SemaphoreSlim _queued = new(0);
    private readonly TimeSpan _collectTimeout;
    private readonly Thread _worker;
    private long _lastNumber;
    private bool _disposed;

    /// <param name="device">Holds the experts; stays the caller's.</param>
    /// <param name="maxRows">Rows of the largest batch.</param>
    /// <param name="expertsPerToken">The model's top-k.</param>
    /// <param name="maxInFlight">Tickets that may be outstanding; at least 2.</param>
    /// <param name="collectTimeout">How long a collect waits; 10 minutes unless given.</param>
    public LocalExperts(IExpertDevice device, int maxRows, int expertsPerToken, int maxInFlight = 2, TimeSpan? collectTimeout = null)
        : this(device, maxRows, expertsPerToken, maxInFlight, collectTimeout, ownsDevice: false)
    {
    }

    private LocalExperts(IExpertDevice device, int maxRows, int expertsPerToken, int maxInFlight, TimeSpan? collectTimeout, bool ownsDevice)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxInFlight, 2);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(expertsPerToken);
        _device = device;
        _ownsDevice = ownsDevice;
        _work = device.CreateWork(maxRows, checked(maxRows * expertsPerToken));
        _slots = new Slot[maxInFlight];
        for (int i = 0; i < maxInFlight; i++)
            _slots[i] = new Slot();
        _queue = new Queue<Slot>(maxInFlight);
        _collectTimeout = collectTimeout ?? TimeSpan.FromMinutes(10);
        _worker = new Thread(Work) { IsBackground = true, Name = "k2 local experts" };
        _worker.Start();
    }

    public int MaxInFlight => _slots.Length;

    /// <summary>Loads every routed expert of a model onto the CPU. The device belongs to the result; the threads stay the caller's.</summary>
    /// <exception cref="CheckpointException">An expert is missing or wrong.</exception>
    public static LocalExperts Load(ModelDirectory model, CpuCompute compute, int maxRows, int maxInFlight = 2)
    {
        ArgumentNullException.ThrowIfNull(model);
        CpuExpertDevice device = new(model.Config, model.Catalog, long.MaxValue, compute);
        try
        {
            for (int layer = 0; layer < model.Config.LayerCount; layer++)
            {
                for (int expert = 0; model.Config.IsMoeLayer(layer) && expert < model.Config.RoutedExperts; expert++)
                    device.Load(new ExpertKey(layer, expert), model.Tensors);
            }

            return new LocalExperts(device, maxRows, model.Config.ExpertsPerToken, maxInFlight, null, ownsDevice: true);
        }
        catch
        {
            device.Dispose();
            throw;
        }
    }

    /// <exception cref="ArgumentException">The batch has more rows than this was made for, or another hidden size.</exception>
    /// <exception cref="InvalidOperationException"><see cref="MaxInFlight"/> tickets are outstanding.</exception>
    public ExpertTicket Submit(ExpertBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        if (batch.Rows > _work.MaxRows || batch.Rows * batch.ExpertsPerToken > _work.MaxPairs || batch.HiddenSize != _work.HiddenSize)
        {
            throw new ArgumentException(
                $"A batch of {batch.Rows} rows × {batch.HiddenSize}, top {batch.ExpertsPerToken}, does not fit {_work.MaxRows} rows × {_work.HiddenSize}, {_work.MaxPairs} pairs.", nameof(batch));
        }

        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Slot slot = Array.Find(_slots, static slot => slot.Batch is null)
                ?? throw new InvalidOperationException($"{MaxInFlight} tickets are outstanding: collect one first.");
            slot.Batch = batch;
            slot.Number = ++_lastNumber;
            slot.Done.Reset();
            _queue.Enqueue(slot);
            _queued.Release();
            return new ExpertTicket(batch, slot.Number);
        }
    }

    /// <exception cref="InvalidOperationException">The ticket is not outstanding.</exception>
    /// <exception cref="TimeoutException">The device did not answer in time; the ticket stays outstanding.</exception>
    public void Collect(ExpertTicket ticket)
    {
        Slot slot;
        lock (_gate)
        {
            slot = FindSlot(ticket)
                ?? throw new InvalidOperationException($"Ticket {ticket.Number} is not outstanding: each is collected once.");
        }

        if (!slot.Done.WaitOne(_collectTimeout))
            throw new TimeoutException($"The expert device {_device.Description.Name} did not answer within {_collectTimeout}.");
        lock (_gate)
            slot.Batch = null;
    }

    /// <summary>Ends after the batches submitted so far.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
        }

        _queued.Release();
        _worker.Join();
        _work.Dispose();
        _queued.Dispose();
        foreach (Slot slot in _slots)
            slot.Done.Dispose();
        if (_ownsDevice)
            _device.Dispose();
    }

    private Slot? FindSlot(ExpertTicket ticket)
    {
        foreach (Slot slot in _slots)
        {
            if (slot.Batch is not null && slot.Number == ticket.Number && ReferenceEquals(slot.Batch, ticket.Batch))
                return slot;
        }

        return null;
    }

    private void Work()
    {
        while (true)
        {
            _queued.Wait();
            Slot? slot;
            lock (_gate)
            {
                if (!_queue.TryDequeue(out slot))
                    return;
            }

            Answer(slot.Batch!);
            slot.Done.Set();
        }
    }

    private void Answer(ExpertBatch batch)
    {
        try
        {
            int topK = batch.ExpertsPerToken;
            _work.Reset(batch.Layer, batch.Rows, batch.Rows * topK);
            batch.Hidden.Span.CopyTo(_work.Hidden);
            batch.ExpertIds.Span.CopyTo(_work.PairExperts);
            Span<int> rows = _work.PairRows;
            for (int pair = 0; pair < rows.Length; pair++)
                rows[pair] = pair / topK;
            _device.Forward(_work);
            _work.Outputs.CopyTo(batch.Outputs.Span);
            for (int row = 0; row < batch.Rows; row++)
                batch.Statuses.Span[row] = StatusOf(batch, row, _work.Statuses.Slice(row * topK, topK));
        }
        catch (Exception exception)
        {
            // Whatever the device throws belongs to this batch; the worker lives on for the next.
            batch.Statuses.Span.Fill(RowStatus.Failed);
            batch.Problem = $"{_device.Description.Name}: {exception.Message}";
        }
    }

    private RowStatus StatusOf(ExpertBatch batch, int row, ReadOnlySpan<PairStatus> pairs)
    {
        RowStatus status = RowStatus.Done;
        for (int i = 0; i < pairs.Length; i++)
        {
            if (pairs[i] == PairStatus.Done)
                continue;
            int expert = batch.ExpertIds.Span[row * batch.ExpertsPerToken + i];
            batch.Problem ??= pairs[i] == PairStatus.NotHeld
                ? $"Expert {expert} of layer {batch.Layer} is not held by {_device.Description.Name}."
                : $"Expert {expert} of layer {batch.Layer} failed on {_device.Description.Name}.";
            if (pairs[i] != PairStatus.NotHeld)
                return RowStatus.Failed;
            status = RowStatus.Unavailable;
        }

        return status;
    }

    private sealed class Slot
    {
        public ManualResetEvent Done { get; } = new(false);

        /// <summary>The batch of an outstanding ticket; null when the slot is free.</summary>
        public ExpertBatch? Batch { get; set; }

        public long Number { get; set; }
    }
}
