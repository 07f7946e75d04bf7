using System.Text.Json;

namespace K2Cluster.Tests;

/// <summary>Judges the answer to a hostile request: a client's mistake in OpenAI's shape, or a right answer, and nothing else.</summary>
internal static class HostileAnswers
{
    /// <summary>What is wrong with the answer; null when nothing is.</summary>
    public static string? Complaint(HostileRequest request, int status, string? mediaType, string body)
    {
        try
        {
            return status switch
            {
                >= 400 and < 500 => ErrorComplaint(body),
                200 => mediaType == "text/event-stream" ? StreamComplaint(body) : AnswerComplaint(request.Path, body),
                _ => $"status {status}",
            };
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            return $"status {status}, {error.Message}";
        }
    }

    private static string? ErrorComplaint(string body)
    {
        using JsonDocument document = JsonDocument.Parse(body);
        JsonElement error = document.RootElement.GetProperty("error");
        bool shaped = error.GetProperty("message").GetString() is { Length: > 0 and < 2000 }
            && error.GetProperty("type").GetString() is { Length: > 0 }
            && error.GetProperty("param").ValueKind is JsonValueKind.String or JsonValueKind.Null
            && error.GetProperty("code").ValueKind is JsonValueKind.String or JsonValueKind.Null;
        return shaped ? null : "not OpenAI's error shape";
    }

    private static string? StreamComplaint(string body)
    {
        string[] events = body.Split("\n\n", StringSplitOptions.RemoveEmptyEntries);
        if (events.Length == 0 || events[^1] != "data: [DONE]")
            return "a stream without its end";
        HashSet<int> open = [];
        foreach (string line in events[..^1])
        {
            using JsonDocument chunk = JsonDocument.Parse(line["data: ".Length..]);
            if (chunk.RootElement.TryGetProperty("error", out JsonElement error))
                return $"an error in the stream: {error}";
            foreach (JsonElement choice in chunk.RootElement.GetProperty("choices").EnumerateArray())
            {
                int index = choice.GetProperty("index").GetInt32();
                open.Add(index);
                if (choice.GetProperty("finish_reason").GetString() is not null)
                    open.Remove(index);
            }
        }

        return open.Count == 0 ? null : "a stream with an open choice";
    }

    private static string? AnswerComplaint(string path, string body)
    {
        using JsonDocument document = JsonDocument.Parse(body);
        JsonElement answer = document.RootElement;
        switch (path)
        {
            case "/tokenize":
                return answer.GetProperty("tokens").GetArrayLength() == answer.GetProperty("count").GetInt32() ? null : "another count than tokens";
            case "/detokenize":
                return answer.GetProperty("prompt").GetString() is not null ? null : "no text";
            case "/v1/completions" or "/v1/chat/completions":
                return answer.GetProperty("choices").EnumerateArray().All(choice => choice.GetProperty("finish_reason").GetString() is not null)
                    && answer.GetProperty("usage").GetProperty("completion_tokens").GetInt32() > 0 ? null : "a choice without an end";
            default:
                return $"an answer at {path}";
        }
    }
}
