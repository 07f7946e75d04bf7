using K2Cluster.Checkpoint;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Grains.Shards;

/// <summary>
/// Loads and drops the experts of a device on threads of its own, several experts at once where the device gains by it, so that
/// serving never waits for it. What it is to hold may change at any time; what does not fit waits until something was dropped,
/// what cannot be read until all else was loaded.
/// </summary>
internal sealed class ExpertLoader : IDisposable
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(5);

    /// <summary>How long after a failure loading is tried again: a damaged file stays damaged, a full disk or host may recover.</summary>
    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(30);

    private readonly ExpertGrid _grid;
    private readonly IExpertDevice _device;
    private readonly ITensorSource _source;
    private readonly TimeProvider _time;
    private readonly Action _onChange;
    private readonly object _gate = new();
    private readonly SortedSet<int> _held = [];
    private readonly SortedSet<int> _missing = [];

    /// <summary>Those that are loaded after all others, and that nobody waits for.</summary>
    private readonly HashSet<int> _further = [];

    /// <summary>Those that are loaded before all others, as requests wait for them.</summary>
    private readonly SortedSet<int> _urgent = [];

    /// <summary>Those of the missing that failed, in the order of their failures.</summary>
    private readonly List<int> _failed = [];
    private readonly Queue<int> _drop = new();

    /// <summary>Those to drop whoever uses them, and whether to load them again.</summary>
    private readonly Queue<(int Expert, bool LoadAgain)> _discard = new();

    /// <summary>Those that a thread loads or drops at the moment: neither is held, both take memory.</summary>
    private readonly HashSet<int> _busy = [];
    private readonly Thread[] _threads;
    private readonly int _capacity;
    private string? _problem;
    private long _problemTime;
    private bool _stopping;

    public ExpertLoader(string name, ExpertGrid grid, IExpertDevice device, ITensorSource source, TimeProvider time, Action onChange)
    {
        (_grid, _device, _source, _time, _onChange) = (grid, device, source, time, onChange);
        _capacity = (int)Math.Min(grid.Count, device.Description.WeightsBudget / device.ExpertBytes);
        _threads = new Thread[device.LoadThreads];
        for (int i = 0; i < _threads.Length; i++)
        {
            _threads[i] = new Thread(Run) { Name = $"k2-load {name}", IsBackground = true };
            _threads[i].Start();
        }
    }

    /// <summary>Replaces what is to be held, and drops what may be dropped and is not to be held.</summary>
    public void Set(IReadOnlyCollection<int> load, IReadOnlyCollection<int> drop, IReadOnlyCollection<int> further, IReadOnlyCollection<int> urgent)
    {
        lock (_gate)
        {
            _missing.Clear();
            _missing.UnionWith(load);
            _missing.ExceptWith(_held);
            _further.Clear();
            _further.UnionWith(further);
            _urgent.Clear();
            _urgent.UnionWith(urgent);
            _urgent.IntersectWith(_missing);
            _failed.RemoveAll(expert => !_missing.Contains(expert));
            _drop.Clear();
            foreach (int expert in drop.Except(load))
                _drop.Enqueue(expert);
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Drops an expert whoever uses it, and loads it again if that is wanted; nothing when it is not held, as it is loaded then anyway.</summary>
    public void Discard(int expert, bool loadAgain)
    {
        lock (_gate)
        {
            _discard.Enqueue((expert, loadAgain));
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>What is held (rising), how much is missing, and why loading stopped: null as long as there is something else to load.</summary>
    public (int[] Held, int Missing, string? Problem) State()
    {
        lock (_gate)
            return ([.. _held], _missing.Count, _failed.Count < _missing.Count ? null : CurrentProblem());
    }

    /// <summary>Of what is missing, those that somebody may wait for.</summary>
    public int MissingOwned
    {
        get
        {
            lock (_gate)
                return _missing.Count(expert => !_further.Contains(expert));
        }
    }

    public int HeldCount
    {
        get
        {
            lock (_gate)
                return _held.Count;
        }
    }

    /// <summary>Whether nothing loads any more; false when an expert at hand took longer than the disposal waits.</summary>
    public bool HasStopped { get; private set; }

    /// <summary>Ends the threads after the experts at hand.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stopping = true;
            Monitor.PulseAll(_gate);
        }

        HasStopped = Array.TrueForAll(_threads, static thread => thread.Join(StopPatience));
    }

    private void Run()
    {
        _device.BindThread();
        while (Next() is var (expert, isLoad))
        {
            (int layer, int number) = _grid.At(expert);
            ExpertKey key = new(layer, number);
            if (isLoad)
                Load(expert, key);
            else
                Drop(expert, key);
            _onChange();
        }
    }

    private (int Expert, bool IsLoad)? Next()
    {
        lock (_gate)
        {
            while (!_stopping)
            {
                if (NextDrop() is { } dropped)
                    return (dropped, false);
                if (_missing.Count > 0 && _held.Count + _busy.Count < _capacity && Choose() is { } next)
                {
                    _busy.Add(next);
                    return (next, true);
                }

                // With a problem there is a time to try again; otherwise somebody will pulse.
                if (_problem is null)
                    Monitor.Wait(_gate);
                else
                    Monitor.Wait(_gate, RetryInterval / 10);
            }

            return null;
        }
    }

    /// <summary>Takes the next to drop from those that are held, so that nobody reports it meanwhile.</summary>
    private int? NextDrop()
    {
        while (_discard.TryDequeue(out (int Expert, bool LoadAgain) bad))
        {
            if (!_held.Remove(bad.Expert) || !_busy.Add(bad.Expert))
                continue;
            if (bad.LoadAgain)
                _missing.Add(bad.Expert);
            return bad.Expert;
        }

        for (int left = _drop.Count; left > 0; left--)
        {
            int expert = _drop.Dequeue();
            if (_busy.Contains(expert))
                _drop.Enqueue(expert); // until its load has ended
            else if (_held.Remove(expert) && _busy.Add(expert))
                return expert;
        }

        return null;
    }

    /// <summary>The next to load: one that has not failed, if there is one, and that somebody may wait for before others; else, after a time, the one whose failure is oldest.</summary>
    private int? Choose()
    {
        foreach (int expert in _urgent)
        {
            if (!_busy.Contains(expert) && !_failed.Contains(expert))
                return expert;
        }

        int? further = null;
        foreach (int expert in _failed.Count == 0 ? _missing : _missing.Except(_failed))
        {
            if (_busy.Contains(expert))
                continue;
            if (!_further.Contains(expert))
                return expert;
            further ??= expert;
        }

        if (further is not null)
            return further;
        int oldest = CurrentProblem() is null ? _failed.FindIndex(expert => !_busy.Contains(expert)) : -1;
        return oldest < 0 ? null : _failed[oldest];
    }

    private void Load(int expert, ExpertKey key)
    {
        string? problem = null;
        try
        {
            _device.Load(key, _source);
        }
        catch (Exception exception)
        {
            problem = $"Expert {key.Expert} of layer {key.Layer} cannot be loaded: {exception.Message}";
        }

        lock (_gate)
        {
            _busy.Remove(expert);
            Monitor.PulseAll(_gate);
            bool failedBefore = _failed.Remove(expert);
            if (problem is not null)
            {
                (_problem, _problemTime) = (problem, _time.GetTimestamp());
                if (_missing.Contains(expert))
                    _failed.Add(expert);
                return;
            }

            _held.Add(expert);
            _missing.Remove(expert);
            _urgent.Remove(expert);
            if (failedBefore && _failed.Count == 0)
                _problem = null;
        }
    }

    private void Drop(int expert, ExpertKey key)
    {
        _device.Unload(key);
        lock (_gate)
        {
            _busy.Remove(expert);
            Monitor.PulseAll(_gate);
        }
    }

    private string? CurrentProblem() => _problem is not null && _time.GetElapsedTime(_problemTime) < RetryInterval ? _problem : null;
}
