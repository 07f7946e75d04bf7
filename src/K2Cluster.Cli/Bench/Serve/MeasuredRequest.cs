using System.Diagnostics;
using System.Net.Http.Headers;
using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json.Nodes;

namespace K2Cluster.Cli;

/// <summary>One streamed completion, timed. Tokens are the gateway's count: a token need not have text of its own.</summary>
/// <param name="Sent">From the start of the bench to sending.</param>
/// <param name="Pieces">From sending to each piece, at least one, as they came.</param>
/// <param name="Ended">From sending to the end of the stream.</param>
/// <param name="PromptTokens">As the gateway counts.</param>
/// <param name="OutputTokens">As the gateway counts.</param>
internal sealed record MeasuredRequest(TimeSpan Sent, IReadOnlyList<TimeSpan> Pieces, TimeSpan Ended, int PromptTokens, int OutputTokens)
{
    private const int ErrorLimit = 4096;

    public TimeSpan FirstToken => Pieces[0];

    /// <summary>From the first token on, the time that each further one took; null where there was no further one.</summary>
    public TimeSpan? PerOutputToken => OutputTokens > 1 ? (Pieces[^1] - Pieces[0]) / (OutputTokens - 1) : null;

    /// <summary>From each piece to the next.</summary>
    public IEnumerable<TimeSpan> BetweenPieces => Pieces.Skip(1).Zip(Pieces, (next, piece) => next - piece);

    /// <param name="http">With the gateway's address.</param>
    /// <param name="model">That is asked.</param>
    /// <param name="prompt">Text, or token ids.</param>
    /// <param name="maxTokens">Tokens that it generates.</param>
    /// <param name="started">When the bench began, as a timestamp.</param>
    /// <param name="cancellation">Breaks it off.</param>
    /// <exception cref="CommandException">The gateway refused, or what it sent is not a complete stream.</exception>
    public static async Task<MeasuredRequest> SendAsync(HttpClient http, string model, JsonNode prompt, int maxTokens, long started, CancellationToken cancellation)
    {
        JsonObject body = new()
        {
            ["model"] = model,
            ["prompt"] = prompt,
            ["max_tokens"] = maxTokens,
            ["ignore_eos"] = true,
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        if (prompt is JsonArray)
            body["return_token_ids"] = true; // a model without a tokenizer, as k2 synth makes, gives nothing else
        using HttpRequestMessage request = new(HttpMethod.Post, "/v1/completions") { Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json") };
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));

        long sent = Stopwatch.GetTimestamp();
        using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellation);
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellation);
        if (!response.IsSuccessStatusCode)
            throw new CommandException($"The gateway answered {(int)response.StatusCode}: {await ReadErrorAsync(stream, cancellation)}");

        List<TimeSpan> pieces = new(maxTokens + 1);
        JsonNode? usage = null;
        await foreach (SseItem<string> item in SseParser.Create(stream).EnumerateAsync(cancellation))
        {
            if (item.Data == "[DONE]")
                break;
            JsonNode? chunk = JsonNode.Parse(item.Data);
            if (chunk?["error"] is { } error)
                throw new CommandException($"The gateway broke off: {TerminalText.Of(error["message"]?.ToString() ?? error.ToJsonString())}");
            if (chunk?["choices"] is JsonArray { Count: > 0 })
                pieces.Add(Stopwatch.GetElapsedTime(sent));

            usage = chunk?["usage"] ?? usage;
        }

        if (pieces.Count == 0 || usage?["completion_tokens"] is not JsonValue completion || usage["prompt_tokens"] is not JsonValue prompted
            || !completion.TryGetValue(out int outputTokens) || !prompted.TryGetValue(out int promptTokens))
            throw new CommandException("The stream ended without a token or without its usage.");
        return new MeasuredRequest(Stopwatch.GetElapsedTime(started, sent), pieces, Stopwatch.GetElapsedTime(sent), promptTokens, outputTokens);
    }

    private static async Task<string> ReadErrorAsync(Stream stream, CancellationToken cancellation)
    {
        byte[] buffer = new byte[ErrorLimit];
        int length = await stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation);
        string text = Encoding.UTF8.GetString(buffer, 0, length);
        try
        {
            return TerminalText.Of(JsonNode.Parse(text)?["error"]?["message"]?.ToString() ?? text);
        }
        catch (Exception failure) when (failure is System.Text.Json.JsonException or InvalidOperationException)
        {
            return TerminalText.Of(text);
        }
    }
}
