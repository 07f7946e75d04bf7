using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>How a client wants its answer delivered.</summary>
internal static class AnswerHeadReader
{
    public static AnswerHead Read(JsonFields body, string prefix, ServedModel model, GenerationSettings settings, TimeProvider time)
    {
        bool stream = body.Boolean("stream") ?? false;
        bool includeUsage = false;
        if (body.Any("stream_options") is { } options)
        {
            if (!stream)
                throw RequestException.Invalid("stream_options", "'stream_options' is only taken with 'stream': true.");
            includeUsage = JsonFields.Of(options, "stream_options").Boolean("include_usage") ?? false;
        }

        return new AnswerHead(prefix + Guid.NewGuid().ToString("N"), model.Name, time.GetUtcNow(), stream, includeUsage, settings.ReturnTokenIds);
    }
}
