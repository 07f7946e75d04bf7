using K2Cluster.Cluster.Plans.Stores;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Grains.Placement;

/// <summary>
/// Keeps of a placement what should outlive all processes. The placement never waits for it: where the store fails, this
/// tries again, and the placement goes on by the clock and what is reported. Not thread-safe: its owner's turns are one at a time.
/// </summary>
internal sealed partial class PlanKeeper(IPlanStore store, TimeProvider time, ILogger<PlanKeeper> log)
{
    /// <summary>For a read or write; and the wait before the next try after one that failed.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    private Task _work = Task.CompletedTask;
    private PlanRecord? _kept;
    private long? _failed;

    /// <summary>The generation to start above: what the placement before this one left. 0 until that was read.</summary>
    public long Stored { get; private set; }

    /// <summary>Whether what there was has been read: until then nothing is written.</summary>
    public bool IsRead { get; private set; }

    public PlacementWishes Wishes { get; private set; } = PlacementWishes.None;

    /// <summary>Whether the wishes are in the store.</summary>
    public bool IsKept => _kept is not null && ReferenceEquals(_kept.Wishes, Wishes);

    /// <summary>Takes new wishes, which are written next.</summary>
    /// <exception cref="InvalidOperationException">The old ones are not known yet.</exception>
    /// <exception cref="ArgumentException">They are too many.</exception>
    public void SetWishes(PlacementWishes wishes)
    {
        if (!IsRead)
            throw new InvalidOperationException("What was wished for before cannot be read at the moment, and would be lost: see the log of the silo, and try again.");
        _ = new PlanRecord { Generation = long.MaxValue, Wishes = wishes }.ToBytes();
        Wishes = wishes;
    }

    /// <summary>
    /// Begins what there is to read or write, unless that is under way or failed a moment ago. Call it a few times a second.
    /// </summary>
    /// <param name="generation">That of the placement's epoch.</param>
    /// <returns>Done, in whatever way, after two or three times <see cref="Patience"/> at most; does not fail.</returns>
    public Task AdvanceAsync(long generation)
    {
        bool waits = !_work.IsCompleted || (_failed is { } failed && time.GetElapsedTime(failed) < Patience);
        if (!waits && (!IsRead || _kept is null || _kept.Generation < generation || !ReferenceEquals(_kept.Wishes, Wishes)))
            _work = WorkAsync(generation);
        return _work;
    }

    private async Task WorkAsync(long generation)
    {
        try
        {
            if (!IsRead)
                await ReadAsync();
            PlanRecord record = new() { Generation = Math.Max(generation, Stored + 1), Wishes = Wishes };
            await LimitedAsync(limit => store.WriteAsync(record.ToBytes(), limit));
            _kept = record;
            if (_failed is not null)
                LogWorksAgain(log);
            _failed = null;
        }
        catch (Exception exception)
        {
            if (_failed is null)
                LogFailed(log, exception);
            _failed = time.GetTimestamp();
        }
    }

    private async Task ReadAsync()
    {
        byte[]? bytes = null;
        await LimitedAsync(async limit => bytes = await store.ReadAsync(limit));
        try
        {
            if (bytes is not null)
            {
                PlanRecord record = PlanRecord.Parse(bytes, time.GetUtcNow());
                (Stored, Wishes) = (record.Generation, record.Wishes);
            }
        }
        catch (FormatException exception)
        {
            string aside = "";
            await LimitedAsync(async limit => aside = await store.SetAsideAsync(limit));
            LogUnreadable(log, exception.Message, aside);
        }

        IsRead = true;
    }

    private async Task LimitedAsync(Func<CancellationToken, Task> action)
    {
        using CancellationTokenSource limit = new(Patience, time);
        try
        {
            await action(limit.Token).WaitAsync(limit.Token);
        }
        catch (OperationCanceledException exception) when (limit.IsCancellationRequested)
        {
            throw new TimeoutException($"Not done within {Patience.TotalSeconds:0} s.", exception);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The placement's record (its epoch, what operators wished for) cannot be read or written; it goes on without, and tries again")]
    private static partial void LogFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "The placement's store works again")]
    private static partial void LogWorksAgain(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The placement's record cannot be used ({Reason}): it was moved to {Aside}, and what operators wished for is gone")]
    private static partial void LogUnreadable(ILogger logger, string reason, string aside);
}
