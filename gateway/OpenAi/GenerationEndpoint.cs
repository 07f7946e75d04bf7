using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>From an admitted request to its response, streamed or whole: the same for both APIs.</summary>
internal static class GenerationEndpoint
{
    public static Task RespondAsync(HttpContext http, ServedModel model, AnswerHead head, IReadOnlyList<GenerationJob> jobs, AnswerFormat format, RequestScope scope)
    {
        scope.Admitted(head.Model, jobs);
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
            events.Add(json => HttpErrors.Write(json, error));
        }

        events.AddDone();
        await events.SendAsync(http.RequestAborted);
    }
}
