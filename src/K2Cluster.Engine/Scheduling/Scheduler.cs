using K2Cluster.Engine.Sampling;
using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Scheduling;

/// <summary>
/// Decides what the next step computes. Requests are admitted first come, first served, once the pages of their worst case
/// are free, so a running one never lacks a page. A step holds a row of every sequence that decodes, then prompts in
/// chunks up to the token budget: a long prompt delays a decode by no more than the rest of one step.
/// Knows neither threads nor the trunk: it fills a batch and takes a result.
/// </summary>
internal sealed class Scheduler(PagePool pages, Sampler sampler, EngineOptions options)
{
    private readonly List<Sequence> _waiting = [];
    private readonly List<Sequence> _running = [];
    private readonly List<Sequence> _step = [];
    private readonly List<int> _freed = [];
    private readonly int _maxRunning = Math.Min(options.MaxRunning, options.StepTokens);

    public int Waiting => _waiting.Count;

    public int Running => _running.Count;

    /// <summary>Sequences that ended, ever, for whatever reason.</summary>
    public long Ended { get; private set; }

    /// <summary>Prompt tokens that were read, ever.</summary>
    public long PromptTokens { get; private set; }

    /// <summary>Tokens that were generated, ever.</summary>
    public long CompletionTokens { get; private set; }

    /// <summary>The sequences of the batch, in its order.</summary>
    public IReadOnlyList<Sequence> Step => _step;

    public void Add(Sequence sequence) => _waiting.Add(sequence);

    /// <summary>Ends the sequences that were cancelled or whose time is up.</summary>
    public void Sweep(TimeSpan now)
    {
        Sweep(_waiting, now);
        Sweep(_running, now);
    }

    /// <summary>Moves waiting sequences to the running ones, in order, as long as the first in line fits.</summary>
    public void Admit()
    {
        int admitted = 0;
        // A prefix cache is asked here: pages it has go first into the table, Computed starts behind them.
        while (admitted < _waiting.Count && _running.Count < _maxRunning && pages.TryTake(_waiting[admitted].WorstCasePages, _waiting[admitted].Pages))
            _running.Add(_waiting[admitted++]);
        _waiting.RemoveRange(0, admitted);
    }

    /// <summary>Fills the batch of the next step. False when no sequence can go on now: see <see cref="NextEvent"/>.</summary>
    public bool Schedule(TrunkBatch batch, TimeSpan now)
    {
        batch.Clear();
        _step.Clear();
        foreach (Sequence sequence in _running)
        {
            if (sequence.Remaining == 1 && sequence.RetryAt <= now)
                Append(batch, sequence, 1);
        }

        foreach (Sequence sequence in _running)
        {
            int rows = Math.Min(sequence.Remaining, options.StepTokens - batch.Rows);
            if (sequence.Remaining > 1 && rows > 0 && sequence.RetryAt <= now)
                Append(batch, sequence, rows);
        }

        if (_step.Count == 0)
            return false;
        foreach (int page in _freed)
        {
            if (pages.IsFree(page))
                batch.Freed.Add(page);
        }

        _freed.Clear();
        return true;
    }

    /// <summary>Takes what the step gave: each sequence advances, is replayed later or ends, for itself.</summary>
    public void Commit(TrunkBatch batch, TrunkResult result, TimeSpan now)
    {
        int logits = 0;
        for (int i = 0; i < _step.Count; i++)
        {
            Sequence sequence = _step[i];
            int rows = batch.Sequences[i].RowCount;
            int row = rows == sequence.Remaining ? logits++ : -1;
            switch (result.Statuses[i])
            {
                case RowStatus.Done:
                    Advance(sequence, rows, row < 0 ? [] : result.Logits(row));
                    break;
                case RowStatus.Unavailable:
                    Postpone(sequence, result.Problem, now);
                    break;
                default:
                    End(sequence, new GenerationException(GenerationFailure.Failed, $"The model failed on request '{sequence.Request.Id}': {result.Problem ?? "it gave no reason"}."));
                    break;
            }
        }

        _running.RemoveAll(static sequence => sequence.HasEnded);
    }

    /// <summary>Ends the sequences of a step that threw.</summary>
    public void Fail(Exception error)
    {
        foreach (Sequence sequence in _step)
        {
            if (!sequence.HasEnded)
                End(sequence, new GenerationException(GenerationFailure.Failed, $"The step of request '{sequence.Request.Id}' failed: {error.Message}", error));
        }

        _running.RemoveAll(static sequence => sequence.HasEnded);
    }

    /// <summary>Ends those that wait and, if asked, those that run.</summary>
    public void Stop(bool running, GenerationFailure failure, string reason, Exception? error = null)
    {
        foreach (Sequence sequence in _waiting)
            End(sequence, new GenerationException(failure, reason, error));
        _waiting.Clear();
        if (!running)
            return;
        foreach (Sequence sequence in _running)
            End(sequence, new GenerationException(failure, reason, error));
        _running.Clear();
    }

    /// <summary>The moment at which something can be done without news from outside: a replay, a time limit; null when never.</summary>
    public TimeSpan? NextEvent(TimeSpan now)
    {
        TimeSpan? next = null;
        foreach (Sequence sequence in _waiting)
            next = Earlier(next, sequence.Deadline);
        foreach (Sequence sequence in _running)
            next = Earlier(next, sequence.RetryAt > now && sequence.RetryAt < sequence.Deadline ? sequence.RetryAt : sequence.Deadline);
        return next;

        static TimeSpan Earlier(TimeSpan? a, TimeSpan b) => a < b ? a.Value : b;
    }

    private void Sweep(List<Sequence> sequences, TimeSpan now)
    {
        bool any = false;
        foreach (Sequence sequence in sequences)
        {
            if (sequence.IsCancelled)
                End(sequence, new OperationCanceledException());
            else if (sequence.Deadline <= now)
                End(sequence, TimedOut(sequence));
            any |= sequence.HasEnded;
        }

        if (any)
            sequences.RemoveAll(static sequence => sequence.HasEnded);
    }

    private void Append(TrunkBatch batch, Sequence sequence, int rows)
    {
        int pageCount = Sequence.PagesFor(sequence.Computed + rows);
        batch.Sequences.Add(new SequenceSlice(batch.Rows, rows, batch.PageTable.Count, pageCount));
        for (int i = 0; i < pageCount; i++)
            batch.PageTable.Add(sequence.Pages[i]);
        for (int position = sequence.Computed; position < sequence.Computed + rows; position++)
        {
            batch.Tokens.Add(sequence.Tokens[position]);
            batch.Positions.Add(position);
            batch.NeedsLogits.Add(position == sequence.Tokens.Length - 1);
        }

        _step.Add(sequence);
    }

    private void Advance(Sequence sequence, int rows, Span<float> logits)
    {
        PromptTokens += Math.Clamp(sequence.PromptLength - sequence.Computed, 0, rows);
        sequence.Computed += rows;
        sequence.RetryDelay = TimeSpan.Zero;
        sequence.Problem = null;
        if (logits.IsEmpty)
            return;
        int token;
        TokenLogprobs? logprobs;
        try
        {
            token = sampler.Sample(sequence, logits, out logprobs);
        }
        catch (Exception error)
        {
            End(sequence, new GenerationException(GenerationFailure.Failed, $"No token could be chosen for request '{sequence.Request.Id}': {error.Message}", error));
            return;
        }

        CompletionTokens++;
        if (sequence.Append(token, logprobs) is not null)
            End(sequence, null);
    }

    private void Postpone(Sequence sequence, string? problem, TimeSpan now)
    {
        TimeSpan delay = sequence.RetryDelay == TimeSpan.Zero ? options.RetryDelay : sequence.RetryDelay * 2;
        sequence.RetryDelay = delay < options.MaxRetryDelay ? delay : options.MaxRetryDelay;
        sequence.RetryAt = now + sequence.RetryDelay;
        sequence.Problem = problem;
    }

    private void End(Sequence sequence, Exception? error)
    {
        foreach (int page in sequence.Pages)
            pages.Return(page);
        _freed.AddRange(sequence.Pages);
        sequence.Pages.Clear();
        Ended++;
        sequence.End(error);
    }

    private static GenerationException TimedOut(Sequence sequence)
    {
        string state = sequence.Problem is not null ? $"experts were unavailable: {sequence.Problem}"
            : sequence.Pages.Count == 0 ? "it was still waiting for a place"
            : $"it had {sequence.Tokens.Length - sequence.PromptLength} of {sequence.MaxTokens} tokens";
        return new GenerationException(GenerationFailure.TimedOut, $"Request '{sequence.Request.Id}' passed its time limit of {sequence.Request.TimeLimit.TotalSeconds} s; {state}.");
    }
}
