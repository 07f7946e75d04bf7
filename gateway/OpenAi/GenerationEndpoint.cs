using System.Globalization;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>From an admitted request to its response, streamed or whole: the same for both APIs.</summary>
internal static class GenerationEndpoint
{
    /// <summary>Tells a client the seed, its own or the one that was drawn: with it the request can be run again.</summary>
    public const string SeedHeader = "x-k2-seed";

    public static Task RespondAsync(HttpContext http, ServedModel model, AnswerHead head, IReadOnlyList<GenerationJob> jobs, AnswerFormat format, RequestScope scope)
    {
        scope.Admitted(head.Model, jobs);
        // As 'seed' takes it: a signed number.
        http.Response.Headers[SeedHeader] = ((long)jobs[0].Generation.Sampling.Seed).ToString(CultureInfo.InvariantCulture);
        IAsyncEnumerable<(int Index, JobStep Step)> steps = new JobRunner(model).RunAsync(jobs, http.RequestAborted);
        return head.Stream ? StreamAsync(http, steps, format, scope) : CollectAsync(http, steps, jobs.Count, format, scope);
    }

    private static async Task CollectAsync(HttpContext http, IAsyncEnumerable<(int Index, JobStep Step)> steps, int choices, AnswerFormat format, RequestScope scope)
    {
        Answer[] answers = [.. Enumerable.Range(0, choices).Select(_ => new Answer())];
        await foreach ((int index, JobStep step) in steps)
        {
            scope.Seen(step);
            answers[index].Add(step);
        }

        await JsonResponse.WriteAsync(http.Response, json => format.WriteWhole(json, answers));
    }

    private static async Task StreamAsync(HttpContext http, IAsyncEnumerable<(int Index, JobStep Step)> steps, AnswerFormat format, RequestScope scope)
    {
        using ServerSentEvents events = new(http.Response);
        TokenUsage usage = default;
        bool begun = false;
        try
        {
            await foreach ((int index, JobStep step) in steps)
            {
                scope.Seen(step);
                // Not before the first step: until then an error can still have a status of its own.
                if (!begun)
                {
                    begun = true;
                    events.Start();
                    format.Begin(events);
                }

                usage += step.End?.Usage ?? default;
                format.Add(events, index, step);
                await events.SendAsync(http.RequestAborted);
            }

            format.AddUsage(events, usage);
        }
        catch (RequestException error) when (begun)
        {
            scope.Failed(error, clientLeft: false);
            FailureLog.Tell(http.RequestServices.GetRequiredService<ILogger<ErrorMiddleware>>(), http.Request.Path, error);
            events.Add(json => HttpErrors.Write(json, error));
        }

        events.AddDone();
        await events.SendAsync(http.RequestAborted);
    }
}
