using System.Runtime.CompilerServices;
using System.Threading.Channels;
using K2Cluster.Engine;
using K2Cluster.Text.Output;

namespace K2Cluster.Gateway.Serving;

/// <summary>Runs jobs on the engine. Every API and every shape of answer is a fold of the steps that come out here.</summary>
internal sealed class JobRunner(ServedModel model)
{
    /// <summary>Steps of one answer that a slow client may leave unread before its siblings wait, too.</summary>
    private const int MergedSteps = 64;

    /// <summary>Submits a job and gives its steps. Leaving the loop, or cancelling, ends its work in the engine.</summary>
    /// <exception cref="RequestException">The queue is full, the time limit passed, the engine stops or failed.</exception>
    public async IAsyncEnumerable<JobStep> RunAsync(GenerationJob job, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        AnswerText text = new(job, model.Tokenizer);
        List<OutputDelta> deltas = [];
        int completion = job.Generation.Generated.Length;
        using CancellationTokenSource work = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        await using IAsyncEnumerator<GeneratedToken> tokens = Submit(job.Generation, work.Token).GetAsyncEnumerator(work.Token);
        while (await NextAsync(tokens, job.Generation))
        {
            GeneratedToken generated = tokens.Current;
            FinishReason? finish = generated.Finish;
            AnswerToken token = new(generated.Id, generated.Logprobs, text.Length);
            completion++;
            deltas.Clear();
            // The token that ends a text is not part of it.
            if (finish != FinishReason.Stop)
                text.Append(token.Id, deltas);
            if (finish is not null && text.Stop is null)
                text.Finish(deltas);

            JobEnd? end = null;
            if (finish is not null || text.Stop is not null)
            {
                EndReason reason = text.Stop is null && finish == FinishReason.Length ? EndReason.Length
                    : text.Stop is null && text.HasToolCalls ? EndReason.ToolCalls : EndReason.Stop;
                end = new JobEnd(reason, new TokenUsage(job.PromptTokens, completion, text.ReasoningTokens, Math.Min(generated.CachedTokens, job.PromptTokens)), text.Stop);
                // Before the last step is handed on: a slow client must not keep a stopped job's pages.
                if (finish is null)
                    await work.CancelAsync();
            }

            yield return new JobStep(token, deltas.Count == 0 ? [] : [.. deltas], end);
            if (end is not null)
                yield break;
        }

        throw new RequestException(RequestFault.Failed, "The engine ended the answer without saying why.", code: "internal_error");
    }

    /// <summary>Runs several jobs together; their steps come with the job's index, in order for each.</summary>
    /// <exception cref="RequestException">There are more than the engine ever takes; or one of them failed, and the others are then cancelled.</exception>
    public async IAsyncEnumerable<(int Index, JobStep Step)> RunAsync(IReadOnlyList<GenerationJob> jobs, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        // Waiting would not help: it would not be told to try again.
        if (jobs.Count > model.Engine.MaxRequests)
            throw RequestException.Invalid("n", $"{jobs.Count} answers are asked for at once; this gateway takes {model.Engine.MaxRequests} at a time, as its operator set it (--max-running, --max-waiting).");
        if (jobs.Count == 1)
        {
            await foreach (JobStep step in RunAsync(jobs[0], cancellationToken))
                yield return (0, step);
            yield break;
        }

        using CancellationTokenSource work = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Channel<(int, JobStep)> steps = Channel.CreateBounded<(int, JobStep)>(MergedSteps);
        Task running = RunAllAsync(jobs, steps.Writer, work);
        try
        {
            await foreach ((int, JobStep) step in steps.Reader.ReadAllAsync(cancellationToken))
                yield return step;
        }
        finally
        {
            await work.CancelAsync();
            await running;
        }
    }

    private async Task RunAllAsync(IReadOnlyList<GenerationJob> jobs, ChannelWriter<(int, JobStep)> steps, CancellationTokenSource work)
    {
        Exception? failure = null;
        await Task.WhenAll(jobs.Select(async (job, index) =>
        {
            try
            {
                await foreach (JobStep step in RunAsync(job, work.Token))
                    await steps.WriteAsync((index, step), work.Token);
            }
            catch (Exception error)
            {
                // The first failure is the reader's; those that follow from cancelling the others are not.
                Interlocked.CompareExchange(ref failure, error, null);
                await work.CancelAsync();
            }
        }));
        steps.Complete(failure);
    }

    private IAsyncEnumerable<GeneratedToken> Submit(GenerationRequest request, CancellationToken cancellationToken)
    {
        try
        {
            return model.Engine.GenerateAsync(request, cancellationToken);
        }
        catch (ArgumentException error)
        {
            // Admission has checked what it knows of; what only the engine knows is the request's fault all the same.
            throw new RequestException(RequestFault.Invalid, error.Message);
        }
        catch (Exception error) when (Translated(error, request) is { } translated)
        {
            throw translated;
        }
    }

    private static async ValueTask<bool> NextAsync(IAsyncEnumerator<GeneratedToken> tokens, GenerationRequest request)
    {
        try
        {
            return await tokens.MoveNextAsync();
        }
        catch (Exception error) when (Translated(error, request) is { } translated)
        {
            throw translated;
        }
    }

    private static RequestException? Translated(Exception error, GenerationRequest request) => error switch
    {
        OperationCanceledException or RequestException => null,
        EngineBusyException busy => new RequestException(RequestFault.Busy, busy.Message, code: "queue_full") { RetryAfter = busy.RetryAfter },
        GenerationException { Failure: GenerationFailure.TimedOut } =>
            new RequestException(RequestFault.TimedOut, $"Request '{request.Id}' passed its time limit of {request.TimeLimit.TotalSeconds:0.######} s.", code: "timeout", cause: error),
        GenerationException { Failure: GenerationFailure.Stopped } =>
            new RequestException(RequestFault.NotReady, $"Request '{request.Id}' was ended: this gateway is stopping.", code: "stopping", cause: error),
        GenerationException =>
            new RequestException(RequestFault.Failed, $"Request '{request.Id}' failed; the gateway's log says why, under this id.", code: "generation_failed", cause: error),
        _ => new RequestException(RequestFault.Failed, $"The gateway failed on request '{request.Id}'; its log says more, under this id.", code: "internal_error", cause: error),
    };
}
