using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Speculation;
using K2Cluster.Kernels.Experts;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Scheduling;

/// <summary>
/// Decides what the next step computes. Knows neither threads nor the trunk: it fills a batch and takes a result.
/// </summary>
/// <remarks>
/// <para>Order: higher priority first, then who came first. Requests are admitted in this order, and only the first in line
/// (nobody is overtaken for being large), once the pages that its tokens need are to be had beside those that the running
/// ones still need for theirs, with one to spare for each that runs. Pages are given when they are needed.</para>
/// <para>A step holds a row of every sequence that decodes; then prompts, in chunks up to the budget: half of it for the first
/// in order, the rest for the others, the shortest first, and what is left for the first again. So a short prompt does not wait
/// for a long one to end, a long one gets on whatever else comes, and a decode waits for one chunk at most. Last, drafts get
/// what rows and pages are left.</para>
/// <para>Where a page is lacking, the last in order of those that have any loses all of its, goes back to its place in the
/// queue, and is computed again later, to the same tokens. The first in order loses none, so it always gets on.</para>
/// </remarks>
internal sealed class Scheduler(KvPages pages, Sampler sampler, EngineOptions options)
{
    /// <summary>Drafted rows of a step: each takes a row of logits, 0.65 MB in Kimi K2. With more sequences than this, drafts do not pay.</summary>
    private const int MaxDraftRows = 128;

    // Both in order.
    private readonly List<Sequence> _waiting = [];
    private readonly List<Sequence> _running = [];
    private readonly List<Sequence> _step = [];
    private readonly List<Sequence> _prompts = [];
    private readonly int _maxRunning = Math.Min(options.MaxRunning, options.StepTokens);
    private long _arrivals;
    private int _rows;

    public int Waiting => _waiting.Count;

    public int Running => _running.Count;

    /// <summary>Sequences that ended, ever, for whatever reason.</summary>
    public long Ended { get; private set; }

    /// <summary>Prompt tokens that were computed, ever; those that were computed again after a preemption count once.</summary>
    public long PromptTokens { get; private set; }

    /// <summary>Prompt tokens that came from the prefix cache, ever.</summary>
    public long CachedTokens { get; private set; }

    /// <summary>Tokens that were generated, ever.</summary>
    public long CompletionTokens { get; private set; }

    /// <summary>Tokens that were drafted, ever.</summary>
    public long DraftedTokens { get; private set; }

    /// <summary>Those that turned out to be the tokens chosen.</summary>
    public long AcceptedTokens { get; private set; }

    /// <summary>Sequences that lost their pages, ever.</summary>
    public long Preemptions { get; private set; }

    /// <summary>The sequences of the batch, in its order.</summary>
    public IReadOnlyList<Sequence> Step => _step;

    public void Add(Sequence sequence)
    {
        sequence.Arrival = _arrivals++;
        Insert(_waiting, sequence);
    }

    /// <summary>Ends the sequences that were cancelled or whose time is up.</summary>
    public void Sweep(TimeSpan now)
    {
        Sweep(_waiting, now);
        Sweep(_running, now);
    }

    /// <summary>Moves waiting sequences to the running ones, in order, as long as the first in line fits.</summary>
    public void Admit()
    {
        if (_waiting.Count == 0)
            return;
        int promised = 0;
        foreach (Sequence sequence in _running)
            promised += MissingPages(sequence);
        while (_waiting.Count > 0 && _running.Count < _maxRunning)
        {
            Sequence first = _waiting[0];
            pages.Reuse(first);
            promised += MissingPages(first);
            // Where none runs, everything is to be had.
            if (_running.Count > 0 && promised + _running.Count > pages.Available)
            {
                pages.Release(first);
                return;
            }

            _waiting.RemoveAt(0);
            first.IsRunning = true;
            Insert(_running, first);
        }
    }

    /// <summary>Fills the batch of the next step. False when no sequence can go on now: see <see cref="NextEvent"/>.</summary>
    public bool Schedule(TrunkBatch batch, TimeSpan now)
    {
        batch.Clear();
        _step.Clear();
        _rows = 0;
        pages.BeginStep();
        PlanDecodes(now);
        PlanPrompts(now);
        if (options.DraftTokens > 0)
            PlanDrafts();

        foreach (Sequence sequence in _running)
        {
            if (sequence.Rows > 0)
                Append(batch, sequence);
        }

        if (_step.Count == 0)
            return false;
        pages.TakeFreed(batch.Freed);
        return true;
    }

    /// <summary>Takes what the step gave: each sequence advances, is replayed later or ends, for itself.</summary>
    public void Commit(TrunkBatch batch, TrunkResult result, TimeSpan now)
    {
        int logits = 0;
        for (int i = 0; i < _step.Count; i++)
        {
            Sequence sequence = _step[i];
            int rows = batch.Sequences[i].RowCount - sequence.DraftLength;
            int wanted = rows == sequence.Remaining ? 1 + sequence.DraftLength : 0;
            switch (result.Statuses[i])
            {
                case RowStatus.Done:
                    Advance(sequence, rows, result, logits);
                    break;
                case RowStatus.Unavailable:
                    Postpone(sequence, result.Problem, now);
                    break;
                default:
                    End(sequence, new GenerationException(GenerationFailure.Failed, $"The model failed on request '{sequence.Request.Id}': {result.Problem ?? "it gave no reason"}."));
                    break;
            }

            logits += wanted;
            Unplan(sequence);
        }

        _running.RemoveAll(static sequence => sequence.HasEnded);
    }

    /// <summary>Replays what was postponed without its pause.</summary>
    public void RetryNow()
    {
        foreach (Sequence sequence in _running.Concat(_waiting)) // those that wait may have been preempted
            (sequence.RetryAt, sequence.RetryDelay) = (TimeSpan.Zero, TimeSpan.Zero);
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

    /// <summary>Ends those that wait and have not begun and, if asked, all others.</summary>
    public void Stop(bool running, GenerationFailure failure, string reason, Exception? error = null)
    {
        Stop(_waiting);
        if (running)
            Stop(_running);

        void Stop(List<Sequence> sequences)
        {
            foreach (Sequence sequence in sequences)
            {
                if (running || sequence.Furthest == 0)
                    End(sequence, new GenerationException(failure, reason, error));
            }

            sequences.RemoveAll(static sequence => sequence.HasEnded);
        }
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

    /// <summary>Checks, between steps, that pages, cache and sequences agree.</summary>
    /// <exception cref="InvalidOperationException">Says what is wrong.</exception>
    public void CheckIntegrity() => pages.CheckIntegrity(_waiting.Concat(_running));

    private static int MissingPages(Sequence sequence) => Math.Max(0, Sequence.PagesFor(sequence.Tokens.Length) - sequence.Pages.Count);

    private static void Insert(List<Sequence> sequences, Sequence sequence)
    {
        int index = sequences.Count;
        while (index > 0 && sequence.IsBefore(sequences[index - 1]))
            index--;
        sequences.Insert(index, sequence);
    }

    private static void Unplan(Sequence sequence)
    {
        sequence.Rows = 0;
        sequence.DraftLength = 0;
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

    private void PlanDecodes(TimeSpan now)
    {
        // By index: those behind may lose their pages meanwhile.
        for (int i = 0; i < _running.Count; i++)
        {
            Sequence sequence = _running[i];
            if (sequence.Remaining == 1 && sequence.RetryAt <= now && TryGrow(sequence, sequence.Tokens.Length))
                Plan(sequence, 1);
        }
    }

    private void PlanPrompts(TimeSpan now)
    {
        _prompts.Clear();
        foreach (Sequence sequence in _running)
        {
            if (sequence.Remaining > 1 && sequence.RetryAt <= now)
                _prompts.Add(sequence);
        }

        if (_prompts.Count == 0)
            return;
        int end = Math.Min(options.StepTokens, _rows > 0 ? _rows + options.PrefillChunkTokens : int.MaxValue);
        Sequence first = _prompts[0];
        PlanChunk(first, _prompts.Count > 1 ? (end - _rows + 1) / 2 : end - _rows);
        _prompts.Sort(static (a, b) =>
            a.Request.Priority != b.Request.Priority ? b.Request.Priority.CompareTo(a.Request.Priority)
            : a.Remaining != b.Remaining ? a.Remaining.CompareTo(b.Remaining)
            : a.Arrival.CompareTo(b.Arrival));
        foreach (Sequence sequence in _prompts)
        {
            if (sequence != first)
                PlanChunk(sequence, end - _rows);
        }

        PlanChunk(first, end - _rows);
    }

    /// <summary>Plans up to so many further rows of a prompt, as far as pages are to be had.</summary>
    private void PlanChunk(Sequence sequence, int most)
    {
        // It may have lost its pages to one before it in order.
        if (most <= 0 || !sequence.IsRunning || (sequence.Rows == 0 && !pages.Reuse(sequence)))
            return;
        int start = sequence.Computed + sequence.Rows;
        int end = Math.Min(sequence.Tokens.Length, start + most);
        if (!TryGrow(sequence, end))
            end = Math.Min(end, sequence.Pages.Count * ITrunk.PageTokens);
        if (end <= start)
            return;
        Plan(sequence, end - start);
        pages.Claim(sequence);
    }

    private void PlanDrafts()
    {
        int end = Math.Min(options.StepTokens, _rows + MaxDraftRows);
        foreach (Sequence sequence in _running)
        {
            if (sequence.Rows != 1 || sequence.Remaining != 1 || sequence.Draft.IsEmpty)
                continue;
            // The last token that is generated has no row.
            int most = Math.Min(end - _rows, sequence.MaxTokens - (sequence.Tokens.Length - sequence.PromptLength) - 1);
            int length = Math.Min(sequence.Draft.Length, most);
            if (length > 0 && (length = sequence.Pace.Next(length)) > 0)
                length = NGramDrafter.Draft(sequence.Tokens, sequence.Draft[..length]);
            if (length > 0 && !pages.TryGrow(sequence, sequence.Tokens.Length + length))
                length = Math.Min(length, (sequence.Pages.Count * ITrunk.PageTokens) - sequence.Tokens.Length);
            if (length <= 0)
                continue;
            sequence.DraftLength = length;
            Plan(sequence, length);
            DraftedTokens += length;
        }
    }

    private void Plan(Sequence sequence, int rows)
    {
        sequence.Rows += rows;
        _rows += rows;
    }

    /// <summary>Gets pages for so many tokens, from those behind in order where need be.</summary>
    private bool TryGrow(Sequence sequence, int tokens)
    {
        while (!pages.TryGrow(sequence, tokens))
        {
            int last = _running.Count - 1;
            while (_running[last] != sequence && _running[last].Pages.Count == 0)
                last--;
            if (_running[last] == sequence)
                return false;
            Preempt(last);
        }

        return true;
    }

    private void Preempt(int index)
    {
        Sequence sequence = _running[index];
        _running.RemoveAt(index);
        _rows -= sequence.Rows;
        Unplan(sequence);
        pages.Release(sequence);
        sequence.IsRunning = false;
        Insert(_waiting, sequence);
        Preemptions++;
    }

    private void Append(TrunkBatch batch, Sequence sequence)
    {
        int end = sequence.Computed + sequence.Rows;
        int pageCount = Sequence.PagesFor(end);
        batch.Sequences.Add(new SequenceSlice(batch.Rows, sequence.Rows, batch.PageTable.Count, pageCount));
        for (int i = 0; i < pageCount; i++)
            batch.PageTable.Add(sequence.Pages[i]);
        int known = sequence.Tokens.Length;
        for (int position = sequence.Computed; position < end; position++)
        {
            batch.Tokens.Add(position < known ? sequence.Tokens[position] : sequence.Draft[position - known]);
            batch.Positions.Add(position);
            batch.NeedsLogits.Add(position >= known - 1);
        }

        _step.Add(sequence);
    }

    /// <param name="sequence">One whose rows are done.</param>
    /// <param name="rows">Its rows, without the draft's.</param>
    /// <param name="result">Holds the logits.</param>
    /// <param name="logits">Where its logits begin.</param>
    private void Advance(Sequence sequence, int rows, TrunkResult result, int logits)
    {
        Count(sequence, rows);
        sequence.Computed += rows;
        sequence.Furthest = Math.Max(sequence.Furthest, sequence.Computed);
        sequence.RetryDelay = TimeSpan.Zero;
        sequence.Problem = null;
        bool ends = false;
        Exception? error = null;
        if (sequence.Remaining == 0)
        {
            try
            {
                ends = Generate(sequence, result, logits);
            }
            catch (Exception unsampled)
            {
                error = new GenerationException(GenerationFailure.Failed, $"No token could be chosen for request '{sequence.Request.Id}': {unsampled.Message}", unsampled);
            }
        }

        pages.Share(sequence);
        if (ends || error is not null)
            End(sequence, error);
    }

    /// <summary>Chooses the next token, and one more for each drafted token that was the one chosen. True when the last is among them.</summary>
    private bool Generate(Sequence sequence, TrunkResult result, int logits)
    {
        int accepted = 0;
        bool ends;
        bool hit;
        do
        {
            int token = sampler.Sample(sequence, result.Logits(logits + accepted), out TokenLogprobs? logprobs);
            ends = sequence.Append(token, logprobs) is not null;
            CompletionTokens++;
            hit = accepted < sequence.DraftLength && sequence.Draft[accepted] == token;
            accepted += hit ? 1 : 0;
        }
        while (hit && !ends);

        // What was drafted and chosen is in the pages; what was not is written over.
        sequence.Computed += accepted;
        sequence.Furthest = Math.Max(sequence.Furthest, sequence.Computed);
        if (sequence.DraftLength > 0)
            sequence.Pace.Learn(sequence.DraftLength, accepted);
        AcceptedTokens += accepted;
        return ends;
    }

    private void Count(Sequence sequence, int rows)
    {
        int cached = Math.Max(0, sequence.Computed - sequence.Furthest);
        sequence.CachedTokens += cached;
        CachedTokens += cached;
        int from = Math.Max(sequence.Computed, sequence.Furthest);
        PromptTokens += Math.Max(0, Math.Min(sequence.PromptLength, sequence.Computed + rows) - from);
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
        pages.Release(sequence);
        sequence.IsRunning = false;
        Ended++;
        sequence.End(error);
    }

    private static GenerationException TimedOut(Sequence sequence)
    {
        string state = sequence.Problem is not null ? $"experts were unavailable: {sequence.Problem}"
            : sequence.Furthest == 0 ? "it was still waiting for a place"
            : $"it had {sequence.Tokens.Length - sequence.PromptLength} of {sequence.MaxTokens} tokens";
        return new GenerationException(GenerationFailure.TimedOut, $"Request '{sequence.Request.Id}' passed its time limit of {sequence.Request.TimeLimit.TotalSeconds} s; {state}.");
    }
}
