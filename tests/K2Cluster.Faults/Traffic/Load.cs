using System.Diagnostics;

namespace K2Cluster.Faults.Traffic;

/// <summary>Requests, so many at once, until it is told to stop; keeps what came of each.</summary>
internal sealed class Load
{
    private readonly Func<int, Task<StreamedAnswer>> _request;
    private readonly Task[] _workers;
    private readonly Lock _lock = new();
    private readonly List<(int Number, StreamedAnswer Answer)> _done = [];
    private volatile bool _stopping;
    private int _next = -1;
    private int _running;

    private Load(Func<int, Task<StreamedAnswer>> request, int atOnce, int most)
    {
        _request = request;
        _workers = [.. Enumerable.Range(0, atOnce).Select(_ => Task.Run(() => WorkAsync(most)))];
    }

    /// <summary>Requests under way.</summary>
    public int Running => Volatile.Read(ref _running);

    public int Done
    {
        get
        {
            lock (_lock)
                return _done.Count;
        }
    }

    /// <param name="request">Runs the request of a number.</param>
    /// <param name="atOnce">Requests under way at any time.</param>
    /// <param name="most">Requests in all.</param>
    public static Load Start(Func<int, Task<StreamedAnswer>> request, int atOnce, int most = int.MaxValue) => new(request, atOnce, most);

    /// <summary>Lets what is under way come to its end.</summary>
    public async Task<IReadOnlyList<(int Number, StreamedAnswer Answer)>> StopAsync()
    {
        _stopping = true;
        return await EndAsync();
    }

    /// <summary>Waits until all requests are done.</summary>
    public async Task<IReadOnlyList<(int Number, StreamedAnswer Answer)>> EndAsync()
    {
        await Task.WhenAll(_workers);
        return _done;
    }

    /// <summary>Waits until so many more requests are done.</summary>
    /// <exception cref="TimeoutException">They did not come.</exception>
    public async Task WaitForAsync(int more, TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        int target = Done + more;
        using PeriodicTimer timer = new(TimeSpan.FromMilliseconds(20));
        while (Done < target && !_workers.All(worker => worker.IsCompleted))
        {
            if (Stopwatch.GetElapsedTime(start) > limit)
                throw new TimeoutException($"{target - Done} of {more} requests were not answered in {limit.TotalSeconds} s.");
            await timer.WaitForNextTickAsync();
        }
    }

    private async Task WorkAsync(int most)
    {
        while (!_stopping)
        {
            int number = Interlocked.Increment(ref _next);
            if (number >= most)
                return;
            Interlocked.Increment(ref _running);
            StreamedAnswer answer = await _request(number);
            Interlocked.Decrement(ref _running);
            lock (_lock)
                _done.Add((number, answer));
        }
    }
}
