using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;

namespace K2Cluster.Kernels.Experts;

/// <summary>
/// All experts on one device of this process, for tests and tools. A batch is computed where it is collected: a CPU device
/// needs the threads that the caller computes on, and would only be in their way meanwhile.
/// </summary>
public sealed class LocalExperts : IExperts, IDisposable
{
    private readonly Lock _gate = new();
    private readonly IExpertDevice _device;
    private readonly bool _ownsDevice;
    private readonly ExpertWork _work;
    private readonly ExpertTicket[] _tickets;
    private long _lastNumber;
    private bool _disposed;

    /// <param name="device">Holds the experts; stays the caller's.</param>
    /// <param name="maxRows">Rows of the largest batch.</param>
    /// <param name="expertsPerToken">The model's top-k.</param>
    /// <param name="maxInFlight">Tickets that may be outstanding; at least 2.</param>
    public LocalExperts(IExpertDevice device, int maxRows, int expertsPerToken, int maxInFlight = 2)
        : this(device, maxRows, expertsPerToken, maxInFlight, ownsDevice: false)
    {
    }

    private LocalExperts(IExpertDevice device, int maxRows, int expertsPerToken, int maxInFlight, bool ownsDevice)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentOutOfRangeException.ThrowIfLessThan(maxInFlight, 2);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(expertsPerToken);
        _device = device;
        _ownsDevice = ownsDevice;
        _work = device.CreateWork(maxRows, checked(maxRows * expertsPerToken));
        _tickets = new ExpertTicket[maxInFlight];
    }

    public int MaxInFlight => _tickets.Length;

    public bool ComputesOnCollect => true;

    /// <summary>Loads every routed expert of a model onto the CPU. The device belongs to the result; the threads stay the caller's.</summary>
    /// <exception cref="CheckpointException">An expert is missing or wrong.</exception>
    public static LocalExperts Load(ModelDirectory model, CpuCompute compute, int maxRows, int maxInFlight = 2, CpuActivations activations = CpuActivations.Bits16)
    {
        ArgumentNullException.ThrowIfNull(model);
        CpuExpertDevice device = new(model.Config, model.Catalog, long.MaxValue, compute, activations: activations);
        try
        {
            for (int layer = 0; layer < model.Config.LayerCount; layer++)
            {
                for (int expert = 0; model.Config.IsMoeLayer(layer) && expert < model.Config.RoutedExperts; expert++)
                    device.Load(new ExpertKey(layer, expert), model.Tensors);
            }

            return new LocalExperts(device, maxRows, model.Config.ExpertsPerToken, maxInFlight, ownsDevice: true);
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
            int free = Array.FindIndex(_tickets, static ticket => ticket.Batch is null);
            if (free < 0)
                throw new InvalidOperationException($"{MaxInFlight} tickets are outstanding: collect one first.");
            return _tickets[free] = new ExpertTicket(batch, ++_lastNumber);
        }
    }

    /// <summary>Computes the batch, on this thread and those of the device.</summary>
    /// <exception cref="InvalidOperationException">The ticket is not outstanding.</exception>
    public void Collect(ExpertTicket ticket)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            int index = Array.IndexOf(_tickets, ticket);
            if (index < 0)
                throw new InvalidOperationException($"Ticket {ticket.Number} is not outstanding: each is collected once.");
            Answer(ticket.Batch);
            _tickets[index] = default;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_disposed)
                return;
            _disposed = true;
            _work.Dispose();
            if (_ownsDevice)
                _device.Dispose();
        }
    }

    private void Answer(ExpertBatch batch)
    {
        try
        {
            int topK = batch.ExpertsPerToken;
            _work.Set(batch);
            _device.Forward(_work);
            _work.Outputs.CopyTo(batch.Outputs.Span);
            for (int row = 0; row < batch.Rows; row++)
                batch.Statuses.Span[row] = StatusOf(batch, row, _work.Statuses.Slice(row * topK, topK));
        }
        catch (Exception exception)
        {
            // Whatever the device throws belongs to this batch.
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
}
