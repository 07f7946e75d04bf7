using System.Diagnostics.Metrics;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using K2Cluster.Telemetry;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// A set of experts on one device: what stands behind a shard's grain. Knows no Orleans. It has one life from its
/// construction to its disposal, told from others by its incarnation.
/// </summary>
internal sealed class ExpertShard : ILocalShard, IShardCounts, IDisposable
{
    /// <summary>Frames that may wait: more than the batches that a few gateways keep in flight, little enough to answer Busy early.</summary>
    private const int QueueCapacity = 64;

    private readonly ExpertGrid _grid;
    private readonly IExpertDevice _device;
    private readonly DeviceWorker _worker;
    private readonly ExpertLoader _loader;
    private readonly ExpertReloads _reloads;
    private readonly IDisposable _counts;
    private readonly long[] _tokens;
    private readonly string _name;
    private readonly Lock _lock = new();
    private readonly Lock _reporting = new();
    private long _reports;
    private volatile bool _leaves;
    private Epoch _assigned;

    /// <param name="identity">Who it is in this life.</param>
    /// <param name="grid">The experts that the model has.</param>
    /// <param name="device">Where it holds and computes them; disposed with the shard.</param>
    /// <param name="source">Where it reads them.</param>
    /// <param name="time">The clock.</param>
    /// <param name="computesHere">Whether the device computes on its callers' threads.</param>
    public ExpertShard(PlannedShard identity, ExpertGrid grid, IExpertDevice device, ITensorSource source, TimeProvider time, bool computesHere = false)
    {
        ComputesHere = computesHere;
        (Identity, _grid, _device) = (identity, grid, device);
        _name = identity.Id.ToString();
        _tokens = new long[grid.Count];
        _worker = new DeviceWorker(_name, device, QueueCapacity, Count, () => Changed?.Invoke(), time);
        _loader = new ExpertLoader(_name, grid, device, source, time, () => Changed?.Invoke());
        _reloads = new ExpertReloads(time);
        _counts = K2Telemetry.Observe(this);
    }

    /// <summary>What it holds has changed, its device was lost, or it leaves. Raised on a loading or the computing thread, or the caller's.</summary>
    public event Action? Changed;

    public PlannedShard Identity { get; }

    public bool ComputesHere { get; }

    public ShardReport Report
    {
        get
        {
            lock (_reporting)
                return MakeReport();
        }
    }

    /// <summary>The report with how many rows each expert has had.</summary>
    public ShardReport ReportWithRows()
    {
        ShardReport report = Report;
        return report with { Rows = [.. report.Held.Select(expert => unchecked((uint)Volatile.Read(ref _tokens[expert])))] };
    }

    /// <summary>Experts that it is the owner of and has not loaded yet.</summary>
    public int MissingOwned => _loader.MissingOwned;

    /// <summary>How its device gets on.</summary>
    public DevicePace Pace => _worker.Pace;

    public ValueTask<ExpertReply> ForwardAsync(ExpertFrame frame, CancellationToken cancellationToken)
    {
        ForwardTask receiver = new();
        Forward(frame, receiver);
        receiver.CancelWith(cancellationToken);
        return new ValueTask<ExpertReply>(receiver.Task);
    }

    /// <summary>Computes a frame, which belongs to the shard from here on, for a receiver, which may be called before this returns.</summary>
    public void Forward(ExpertFrame frame, IForwardReceiver receiver)
    {
        string? problem = null;
        ReplyStatus status = frame.Incarnation != Identity.Incarnation ? ReplyStatus.WrongIncarnation
            : (problem = FindProblem(frame)) is not null ? ReplyStatus.Malformed
            : ReplyStatus.Computed;
        if (status == ReplyStatus.Computed)
        {
            if (_worker.TryEnqueue(frame, receiver))
                return;
            status = ReplyStatus.Busy;
        }

        frame.Dispose();
        receiver.Complete(new ExpertReply { Status = status, Pairs = 0, HiddenSize = 0, Problem = problem });
    }

    public string? Compute(ExpertBatch batch, Span<PairStatus> pairs)
    {
        // Ours, but not checked yet: what is out of range is for the dispatcher to name.
        if (!_grid.Contains(batch.Layer, 0) || batch.HiddenSize != _worker.HiddenSize)
            return null;
        foreach (int expert in batch.ExpertIds.Span)
        {
            if ((uint)expert >= (uint)_grid.Experts)
                return null;
        }

        return _worker.Compute(batch, pairs);
    }

    /// <summary>Takes an assignment unless it is older than one taken before; loading and dropping go on in the background.</summary>
    public ShardReport Assign(ShardAssignment assignment)
    {
        lock (_lock)
        {
            if (assignment.Epoch >= _assigned)
            {
                foreach (int expert in assignment.Load.Concat(assignment.Drop))
                {
                    if ((uint)expert >= (uint)_grid.Count)
                        throw new ArgumentException($"There is no expert {expert} in a grid of {_grid.Count}.");
                }

                _assigned = assignment.Epoch;
                _loader.Set([.. assignment.Load.Except(_reloads.Lost)], assignment.Drop, assignment.Further, assignment.Urgent);
            }
        }

        return Report;
    }

    public void Suspect(int expert, bool isSure)
    {
        if ((uint)expert >= (uint)_grid.Count || !_reloads.Take(expert, isSure))
            return;
        _loader.Discard(expert, loadAgain: !_reloads.Lost.Contains(expert));
        Changed?.Invoke();
    }

    /// <summary>From now on it has room for nothing: what it holds it serves until the placement has moved it elsewhere.</summary>
    public void Leave()
    {
        _leaves = true;
        Changed?.Invoke();
    }

    public void Dispose()
    {
        _counts.Dispose();
        _loader.Dispose();
        _worker.Dispose();

        // Memory that a hanging thread still uses goes with the process.
        if (_loader.HasStopped && _worker.HasStopped)
            _device.Dispose();
    }

    IEnumerable<Measurement<long>> IShardCounts.ExpertTokens()
    {
        for (int i = 0; i < _tokens.Length; i++)
        {
            long count = Volatile.Read(ref _tokens[i]);
            if (count > 0)
            {
                (int layer, int expert) = _grid.At(i);
                yield return new Measurement<long>(count, new("k2.shard", _name), new("k2.layer", layer), new("k2.expert", expert));
            }
        }
    }

    Measurement<int> IShardCounts.ExpertsHeld() => new(_device.Lost is null ? _loader.HeldCount : 0, new KeyValuePair<string, object?>("k2.shard", _name));

    /// <summary>Called by one thread at a time, as the device computes: no interlocked addition is needed.</summary>
    private void Count(int layer, int expert)
    {
        ref long tokens = ref _tokens[_grid.Index(layer, expert)];
        Volatile.Write(ref tokens, tokens + 1);
    }

    private ShardReport MakeReport()
    {
        // Before what it holds: a report must not confirm an assignment with what was held under the one before.
        Epoch assigned;
        lock (_lock)
            assigned = _assigned;
        (int[] held, int missing, string? problem) = _loader.State();

        // A device that is lost, or hangs, holds nothing and has room for nothing: the placement gives its experts to the others.
        string? lost = _device.Lost ?? (Pace.IsHung ? $"{_device.Description.Name} has been in one call for more than 10 s and 20 times what such calls take: it hangs. Look at the host's and the driver's logs; its experts go to other shards until it answers." : null);
        if (lost is not null)
            (held, missing, problem) = ([], 0, lost);
        string? untrusted = Untrusted();
        return new ShardReport
        {
            Shard = Identity,
            WeightsBudget = lost is null && untrusted is null && !_leaves ? _device.Description.WeightsBudget : 0,
            ExpertBytes = _device.ExpertBytes,
            Held = ImmutableCollectionsMarshal.AsImmutableArray(held),
            Loading = missing,
            Problem = problem ?? untrusted,
            Assigned = assigned,
            Number = ++_reports,
            RowsPerSecond = _worker.RowsPerSecond,
            UsesHostThreads = _device.UsesHostThreads,
        };
    }

    /// <summary>Why its experts should go elsewhere although it serves them still; null when they should not.</summary>
    private string? Untrusted()
    {
        if (_reloads.Lost is not [var expert, ..])
            return null;
        (int layer, int number) = _grid.At(expert);
        return $"Expert {number} of layer {layer} gave no finite numbers on {_device.Description.Name} again after it was loaded anew {ExpertReloads.Most} times: its memory cannot be trusted. Check it (nvidia-smi -q -d ECC for a GPU, the kernel's log for a host), then restart the silo; its experts go to other shards until then.";
    }

    /// <summary>What is wrong with a frame, which may come from anybody; null when nothing is.</summary>
    private string? FindProblem(ExpertFrame frame)
    {
        if (frame.HiddenSize != _worker.HiddenSize)
            return $"hidden size {frame.HiddenSize}, the model has {_worker.HiddenSize}";
        if (!FrameLimits.AllowFrame(frame.Rows, frame.Pairs, frame.HiddenSize, frame.Length) || !FrameLimits.AllowPairs(frame.Pairs, frame.HiddenSize))
            return $"{frame.Rows} rows and {frame.Pairs} pairs in {frame.Length} bytes are not allowed";
        if (!_grid.Contains(frame.Layer, 0))
            return $"layer {frame.Layer} has no routed experts";

        ReadOnlySpan<int> pairs = MemoryMarshal.Cast<byte, int>(frame.Payload.Span[(frame.Rows * frame.HiddenSize * sizeof(ushort))..]);
        for (int i = 0; i < pairs.Length; i += 2)
        {
            if ((uint)pairs[i] >= (uint)frame.Rows)
                return $"row {pairs[i]} of {frame.Rows}";
            if ((uint)pairs[i + 1] >= (uint)_grid.Experts)
                return $"expert {pairs[i + 1]} of {_grid.Experts}";
        }

        return null;
    }
}
