using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>
/// Experts in a GPU's memory, INT4 or BF16 as the checkpoint has them. Loads go over a stream of their own beside the
/// forwards. A device that the driver gives up is <see cref="Lost"/>, and says why to whoever calls it; nothing else happens.
/// </summary>
public sealed class CudaExpertDevice : IExpertDevice
{
    /// <summary>
    /// A device is given up after so many failures of forwards in a row, of loads, or of making room for larger forwards, even
    /// if the driver calls each of them passing: the plan would go on to send it every request of its experts, and to count on
    /// it for those that never come.
    /// </summary>
    private const int MostFailures = 3;

    private readonly CudaCard _card;
    private readonly ExpertShape _shape;
    private readonly TensorCatalog _catalog;
    private readonly DisposableStack _owned = new();
    private readonly PrimaryContext _context;
    private readonly ExpertKernels _kernels;
    private readonly CudaStream _forwards;
    private readonly ExpertStaging _staging;
    private readonly ExpertSlab _slab;
    private readonly ForwardGraph _few;
    private readonly ForwardGraph _many;
    private readonly KeyValuePair<string, object?> _tag;

    /// <summary>Held while an expert is loaded; taken before <see cref="_forwarding"/> and <see cref="_gate"/>.</summary>
    private readonly Lock _loading = new();

    /// <summary>Held during a forward.</summary>
    private readonly Lock _forwarding = new();

    /// <summary>Guards the slab. Held for moments.</summary>
    private readonly Lock _gate = new();
    private int _failedForwards;
    private int _failedLoads;
    private int _failedWorks;
    private string? _lost;
    private bool _disposed;

    /// <summary>Takes a GPU and checks that it computes what it should.</summary>
    /// <param name="card">The GPU.</param>
    /// <param name="config">The model's sizes.</param>
    /// <param name="catalog">The names of its tensors.</param>
    /// <param name="memory">Bytes of experts at most; null for what the GPU has free, less the head-room.</param>
    /// <exception cref="CheckpointException">The experts have a shape that the kernels do not compute.</exception>
    /// <exception cref="NotSupportedException">The GPU is too old or too small.</exception>
    /// <exception cref="InsufficientMemoryException">There is no room for an expert.</exception>
    /// <exception cref="InvalidOperationException">It computes something else.</exception>
    /// <exception cref="CudaException">The driver refuses it.</exception>
    public CudaExpertDevice(CudaCard card, ModelConfig config, TensorCatalog catalog, long? memory)
    {
        ArgumentNullException.ThrowIfNull(card);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(catalog);
        if (card.Refusal is { } refusal)
            throw new NotSupportedException(refusal);
        int layer = Enumerable.Range(0, config.LayerCount).FirstOrDefault(config.IsMoeLayer, -1);
        _shape = new ExpertShape(config, layer >= 0 && catalog.IsExpertQuantized(layer, 0));
        (_card, _catalog) = (card, catalog);
        _tag = new("k2.device", card.FullName);
        try
        {
            _context = _owned.Add(new PrimaryContext(card.Ordinal));
            HasEcc = _context.GetDeviceInfo().EccEnabled;
            _kernels = new ExpertKernels(_context, card, _shape);
            _forwards = _owned.Add(new CudaStream(CUStreamFlags.NonBlocking));
            _staging = _owned.Add(new ExpertStaging(_kernels, _shape));
            int slots = Slots(config, memory);
            _slab = _owned.Add(new ExpertSlab(_shape, slots, _forwards));
            Description = new DeviceDescription(card.FullName, _kernels.Kind, slots * _shape.SlotBytes);

            // A copy from pageable memory may return before it is there, and our streams do not wait for the null stream.
            _context.Synchronize();
            using CudaExpertWork work = new(this, _shape, _kernels, _slab, SelfCheck.Rows, SelfCheck.Rows);
            _few = _owned.Add(new ForwardGraph(_kernels, _kernels.Small, work.Buffers));
            _many = _owned.Add(new ForwardGraph(_kernels, _kernels.Large, work.Buffers));
            Check(work);
        }
        catch
        {
            Free();
            throw;
        }
    }

    public DeviceDescription Description { get; }

    /// <summary>Whether the card corrects errors of its memory, and says so when it cannot.</summary>
    public bool HasEcc { get; }

    public long ExpertBytes => _shape.SlotBytes;

    public bool UsesHostThreads => false;

    public string? Lost => Volatile.Read(ref _lost);

    public void Load(ExpertKey expert, ITensorSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        int index = _shape.IndexOf(expert);
        if (index < 0)
            throw new ArgumentOutOfRangeException(nameof(expert), expert, "The model has no such expert.");
        lock (_loading)
        {
            Enter();
            if (!TryTake(expert, index, out int slot))
                return;
            bool loaded = false;
            try
            {
                _staging.Load(new CheckpointExpert(_catalog, source, expert, _shape.IsInt4), _slab.Address(slot));
                (loaded, _failedLoads) = (true, 0);
            }
            catch (CudaException exception)
            {
                throw Explain(exception, ++_failedLoads);
            }
            finally
            {
                if (!loaded)
                {
                    lock (_gate)
                        _slab.GiveBack(slot);
                }
            }

            Publish(index, slot);
        }
    }

    public bool Unload(ExpertKey expert)
    {
        int index = _shape.IndexOf(expert);
        lock (_gate)
        {
            if (_disposed || index < 0 || !_slab.Holds(index))
                return false;
            if (_lost is not null)
                return false; // it holds nothing any more
            try
            {
                _context.SetCurrent();
                _slab.Withdraw(index);
            }
            catch (CudaException exception)
            {
                // Whether forwards still find the expert is not known, so its slot could never be used again.
                Lose(exception);
            }

            return true;
        }
    }

    public bool Holds(ExpertKey expert)
    {
        int index = _shape.IndexOf(expert);
        lock (_gate)
            return !_disposed && _lost is null && index >= 0 && _slab.Holds(index);
    }

    public ExpertWork CreateWork(int maxRows, int maxPairs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxRows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxPairs);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxRows, int.MaxValue / _shape.Hidden);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxPairs, int.MaxValue / Math.Max(_shape.Hidden, _shape.Intermediate));
        Enter();
        try
        {
            CudaExpertWork work = new(this, _shape, _kernels, _slab, maxRows, maxPairs);
            Volatile.Write(ref _failedWorks, 0);
            return work;
        }
        catch (CudaException exception)
        {
            throw Explain(exception, Interlocked.Increment(ref _failedWorks));
        }
    }

    /// <exception cref="ArgumentException">The work was not made by this device.</exception>
    /// <exception cref="DeviceLostException">The device cannot be used any more.</exception>
    public void Forward(ExpertWork work)
    {
        if (work is not CudaExpertWork own || own.Device != this)
            throw new ArgumentException("The work was not made by this device's CreateWork.", nameof(work));
        lock (_forwarding)
        {
            Enter();
            if ((uint)own.Layer >= (uint)_shape.Layers)
            {
                own.Statuses.Fill(PairStatus.NotHeld);
                return;
            }

            if (own.Pairs == 0)
                return;
            try
            {
                float milliseconds = own.Run(_forwards);
                _failedForwards = 0;
                K2Telemetry.KernelDuration.Record(milliseconds / 1000, _tag);
            }
            catch (CudaException exception)
            {
                throw Explain(exception, ++_failedForwards);
            }
        }
    }

    /// <summary>Frees all that it holds; after the loss of the device, what the driver still lets go of.</summary>
    public void Dispose()
    {
        lock (_loading)
        {
            lock (_forwarding)
            {
                lock (_gate)
                {
                    if (_disposed)
                        return;
                    _disposed = true;
                    Free();
                }
            }
        }
    }

    /// <summary>How many experts there is room for: never more than the model has, and the head-room stays free for the buffers of forwards and for what else uses the GPU.</summary>
    private int Slots(ModelConfig config, long? memory)
    {
        long free = (long)(ulong)_context.GetFreeDeviceMemorySize();
        long headRoom = HeadRoom(_card.MemoryBytes);
        long budget = Math.Min(memory ?? long.MaxValue, free - headRoom);
        if (budget < _shape.SlotBytes)
        {
            throw new InsufficientMemoryException(memory < _shape.SlotBytes
                ? $"--memory {memory} bytes is less than one expert takes on {_card.FullName}: {_shape.SlotBytes} bytes."
                : $"{_card.FullName} has {free} bytes free, of which {headRoom} are kept for buffers: not even one expert of {_shape.SlotBytes} bytes fits.");
        }

        int moeLayers = Enumerable.Range(0, config.LayerCount).Count(config.IsMoeLayer);
        return (int)Math.Min((long)moeLayers * config.RoutedExperts, budget / _shape.SlotBytes);
    }

    /// <summary>The kernels for few rows of an expert, or for many. For the holder of the forward's lock.</summary>
    internal ForwardGraph Graph(bool isLarge) => isLarge ? _many : _few;

    /// <summary>What is kept free of a GPU with so much memory: a sixteenth, 5 GB of 80.</summary>
    internal static long HeadRoom(long memory) => memory / 16;

    /// <summary>Lets go of everything, once nothing runs on it.</summary>
    private void Free()
    {
        if (_context is not null)
            _ = IsUsable();
        _owned.Dispose();
    }

    private void Check(CudaExpertWork work)
    {
        ExpertKey key = new(0, 0);
        int index = _shape.IndexOf(key);
        MadeUpExpert expert = new(_shape);
        _slab.TryTake(out int slot, out _);
        _staging.Load(expert, _slab.Address(slot));
        Publish(index, slot);
        string? problem = SelfCheck.Run(work, _forwards, expert, key);
        _slab.Withdraw(index);
        _forwards.Synchronize();
        if (problem is not null)
            throw new InvalidOperationException($"{_card.FullName} does not compute what it should, {_kernels.Kind}: {problem}. It cannot be used.");
    }

    /// <summary>A slot for an expert; false when it is held already. May wait for a forward, without the lock that unloading takes.</summary>
    private bool TryTake(ExpertKey expert, int index, out int slot)
    {
        try
        {
            while (true)
            {
                ISlotUse? awaited;
                lock (_gate)
                {
                    slot = -1;
                    if (_slab.Holds(index))
                        return false;
                    if (_slab.TryTake(out slot, out awaited))
                        return true;
                    if (awaited is null)
                    {
                        throw new InsufficientMemoryException(
                            $"Expert {expert.Expert} of layer {expert.Layer} needs a slot of {_shape.SlotBytes} bytes, and all {_slab.Used} of {Description.Name} are used. Unload an expert or raise --memory.");
                    }
                }

                // Loads alone take slots and let go of what they waited for, one at a time.
                awaited.Wait();
            }
        }
        catch (CudaException exception)
        {
            throw Explain(exception, ++_failedLoads);
        }
    }

    private void Publish(int index, int slot)
    {
        lock (_gate)
        {
            try
            {
                _slab.Publish(index, slot);
            }
            catch (CudaException exception)
            {
                // As in Unload: whether forwards find the expert is not known, so its slot could never be used again.
                throw Lose(exception);
            }
        }
    }

    /// <summary>Called first by whatever uses the device, on whatever thread.</summary>
    private void Enter()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed), this);
        if (Lost is { } lost)
            throw new DeviceLostException(lost);
        try
        {
            _context.SetCurrent();
        }
        catch (CudaException exception)
        {
            throw Explain(exception);
        }
    }

    /// <summary>
    /// What a failure means: too little memory for this once; something that passed; or the end of the device, where the
    /// driver answers every call with the same error from then on. When it returns, nothing runs on the caller's buffers.
    /// </summary>
    /// <param name="failure">What the driver said.</param>
    /// <param name="inARow">How many of its kind there were without a success between, this one included.</param>
    private Exception Explain(CudaException failure, int inARow = 1)
    {
        if (!IsUsable() || inARow >= MostFailures)
            return Lose(failure);
        return DeviceFault.IsOutOfMemory((int)failure.CudaError)
            ? new InsufficientMemoryException($"{_card.FullName} has no memory left for this: {failure.Message}", failure)
            : new InvalidOperationException($"{_card.FullName} failed: {failure.Message}", failure);
    }

    private DeviceLostException Lose(CudaException failure)
    {
        string lost = $"{_card.FullName} is lost: {failure.Message} {DeviceFault.Remedy((int)failure.CudaError)}";
        return new DeviceLostException(Interlocked.CompareExchange(ref _lost, lost, null) ?? lost, failure);
    }

    /// <summary>Whether the driver still takes calls; waits for what is under way, which must not outlive its buffers.</summary>
    private bool IsUsable()
    {
        try
        {
            _context.SetCurrent();
            _context.Synchronize();
            return true;
        }
        catch (CudaException)
        {
            return false;
        }
    }
}
