using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// Experts on the CPU: INT4 weights with INT16 (or, if asked, INT8) activations, or BF16 weights with FP32 activations, as the
/// checkpoint has them. The bits do not depend on instruction set, threads or company (docs/adr/0005-numerics.md), but INT8's are
/// of a kind of their own.
/// </summary>
public sealed class CpuExpertDevice : IExpertDevice
{
    private const string CpuKind = "cpu";
    private const string Int8Kind = "cpu-int8";

    // Guards the table, the uses of its experts, the bytes and the loads under way. Held for moments only: neither while
    // reading nor while computing.
    private readonly object _gate = new();
    private readonly HashSet<ExpertKey> _loading = [];
    private readonly CpuExpert?[]?[] _layers;
    private readonly ModelConfig _config;
    private readonly TensorCatalog _catalog;
    private readonly CpuCompute _compute;
    private readonly bool _ownsCompute;
    private readonly bool _int4;
    private readonly CpuActivations _activations;
    private long _usedBytes;
    private bool _disposed;

    /// <param name="config">The model's sizes.</param>
    /// <param name="catalog">The names of its tensors.</param>
    /// <param name="weightsBudget">Bytes of experts that may be held at a time.</param>
    /// <param name="compute">The threads that compute.</param>
    /// <param name="name">For people; "cpu" unless given.</param>
    /// <param name="ownsCompute">Whether they end with the device; else they stay the caller's.</param>
    /// <param name="activations">What INT4 experts are multiplied with; BF16 experts know no such choice.</param>
    /// <exception cref="CheckpointException">The experts have a shape or format that this device does not compute.</exception>
    public CpuExpertDevice(
        ModelConfig config, TensorCatalog catalog, long weightsBudget, CpuCompute compute, string name = CpuKind, bool ownsCompute = false, CpuActivations activations = CpuActivations.Bits16)
    {
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(compute);
        ArgumentOutOfRangeException.ThrowIfNegative(weightsBudget);
        _config = config;
        _catalog = catalog;
        _compute = compute;
        _ownsCompute = ownsCompute;
        _layers = new CpuExpert?[config.LayerCount][];
        int[] moeLayers = [.. Enumerable.Range(0, config.LayerCount).Where(config.IsMoeLayer)];
        foreach (int layer in moeLayers)
            _layers[layer] = new CpuExpert?[config.RoutedExperts];

        _int4 = moeLayers.Length > 0 && catalog.IsExpertQuantized(moeLayers[0], 0);
        if (_int4 && (config.HiddenSize % QuantizedRows.GroupSize != 0 || config.MoeIntermediateSize % QuantizedRows.GroupSize != 0))
        {
            throw new CheckpointException(
                $"config.json: hidden_size {config.HiddenSize} and moe_intermediate_size {config.MoeIntermediateSize} must be multiples of {QuantizedRows.GroupSize} for INT4 experts.");
        }

        ExpertBytes = CpuExpert.Bytes(_int4, config.HiddenSize, config.MoeIntermediateSize);
        _activations = activations;
        string kind = _int4 && activations == CpuActivations.Bits8 ? Int8Kind : CpuKind;
        Description = new DeviceDescription($"{name}, {compute.Threads} threads, {compute.Path}", kind, weightsBudget);
    }

    public DeviceDescription Description { get; }

    public long ExpertBytes { get; }

    /// <summary>
    /// Half of the threads, up to 8: an expert is read and repacked by one of them, and what is held is served meanwhile. Two at
    /// least, so that one repacks while the other waits for the disk.
    /// </summary>
    public int LoadThreads => Math.Clamp((_compute.Threads + 1) / 2, 2, 8);

    /// <summary>Bytes of experts held or being loaded, those included that were unloaded and a forward still uses.</summary>
    public long UsedBytes
    {
        get
        {
            lock (_gate)
                return _usedBytes;
        }
    }

    /// <summary>The memory of what such a thread loads lies near the device's CPUs: the system gives a page from the node of who first writes to it.</summary>
    public void BindThread() => _compute.BindThread();

    public void Load(ExpertKey expert, ITensorSource source)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (LayerOf(expert) is not { } layer)
            throw new ArgumentOutOfRangeException(nameof(expert), expert, "The model has no such expert.");
        if (!BeginLoad(expert, layer))
            return;

        CpuExpert? loaded = null;
        try
        {
            _catalog.CheckExpert(source, expert.Layer, expert.Expert);
            if (_catalog.IsExpertQuantized(expert.Layer, expert.Expert) != _int4)
                throw new CheckpointException($"config.json: expert {expert.Expert} of layer {expert.Layer} is {(_int4 ? "BF16" : "INT4")} and others are not; quantization_config.ignore must name all routed experts or none.");
            loaded = CpuExpert.Read(_int4, _config.HiddenSize, _config.MoeIntermediateSize, _catalog, source, expert);
        }
        finally
        {
            EndLoad(expert, layer, loaded);
        }
    }

    public bool Unload(ExpertKey expert)
    {
        lock (_gate)
        {
            if (LayerOf(expert) is not { } layer || layer[expert.Expert] is not { } held)
                return false;
            layer[expert.Expert] = null;
            Release(held);
            return true;
        }
    }

    public bool Holds(ExpertKey expert)
    {
        lock (_gate)
            return LayerOf(expert)?[expert.Expert] is not null;
    }

    public ExpertWork CreateWork(int maxRows, int maxPairs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxRows);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(maxPairs);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxRows, int.MaxValue / _config.HiddenSize);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(maxPairs, int.MaxValue / _config.HiddenSize);
        return new CpuExpertWork(maxRows, maxPairs, _config.HiddenSize, _config.MoeIntermediateSize, _config.RoutedExperts, _int4, _activations);
    }

    /// <exception cref="ArgumentException">The work was not made by a device of this model.</exception>
    public void Forward(ExpertWork work)
    {
        if (work is not CpuExpertWork own || own.HiddenSize != _config.HiddenSize || own.Activations != _activations)
            throw new ArgumentException("The work was not made by this device's CreateWork.", nameof(work));

        ObjectDisposedException.ThrowIf(own.IsDisposed, own);
        ExpertGroups groups = own.Groups;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            groups.Build(own, (uint)own.Layer < (uint)_layers.Length ? _layers[own.Layer] : []);
        }

        try
        {
            if (groups.Count > 0)
                CpuExpertForward.Run(own, _compute, _config.HiddenSize, _config.MoeIntermediateSize, _int4);
        }
        finally
        {
            lock (_gate)
            {
                for (int group = 0; group < groups.Count; group++)
                    Release(groups.Expert(group));
            }

            groups.Clear();
        }
    }

    /// <summary>Frees every expert; one that a forward uses, when that ends.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _disposed = true;
            foreach (CpuExpert?[]? layer in _layers)
            {
                for (int expert = 0; expert < layer?.Length; expert++)
                {
                    if (layer[expert] is { } held)
                        Release(held);
                    layer[expert] = null;
                }
            }
        }

        // After the last forward: its threads are the pool's.
        if (_ownsCompute)
            _compute.Dispose();
    }

    /// <summary>Reserves the memory; false when the expert is held. Waits for another load of the same expert to end.</summary>
    private bool BeginLoad(ExpertKey expert, CpuExpert?[] layer)
    {
        lock (_gate)
        {
            while (true)
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                if (layer[expert.Expert] is not null)
                    return false;
                if (!_loading.Contains(expert))
                    break;
                Monitor.Wait(_gate);
            }

            if (ExpertBytes > Description.WeightsBudget - _usedBytes)
            {
                throw new InsufficientMemoryException(
                    $"Expert {expert.Expert} of layer {expert.Layer} needs {ExpertBytes} bytes; {_usedBytes} of the weights budget of {Description.WeightsBudget} are used. Unload an expert or raise the budget.");
            }

            _usedBytes += ExpertBytes;
            _loading.Add(expert);
            return true;
        }
    }

    private void EndLoad(ExpertKey expert, CpuExpert?[] layer, CpuExpert? loaded)
    {
        lock (_gate)
        {
            _loading.Remove(expert);
            Monitor.PulseAll(_gate);
            if (loaded is null)
                _usedBytes -= ExpertBytes;
            else if (_disposed)
                Release(loaded);
            else
                layer[expert.Expert] = loaded;
        }
    }

    /// <summary>Gives back one use, under the lock.</summary>
    private void Release(CpuExpert expert)
    {
        if (--expert.Uses > 0)
            return;
        expert.Dispose();
        _usedBytes -= ExpertBytes;
    }

    private CpuExpert?[]? LayerOf(ExpertKey key) =>
        (uint)key.Layer < (uint)_layers.Length && (uint)key.Expert < (uint)_config.RoutedExperts ? _layers[key.Layer] : null;
}
