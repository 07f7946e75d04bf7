using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>The parameters that chat and completions have in common.</summary>
internal static class SettingsReader
{
    /// <summary>Parameters that would change the answer, which this version cannot give, with what leaves the answer as it is.</summary>
    private static readonly (string Name, Func<JsonElement, bool> IsNeutral)[] Unsupported =
    [
        ("n", value => IsNumber(value, 1)),
        ("best_of", value => IsNumber(value, 1)),
        ("logprobs", value => value.ValueKind == JsonValueKind.False),
        ("top_logprobs", value => IsNumber(value, 0)),
        ("prompt_logprobs", _ => false),
        ("logit_bias", IsEmpty),
        ("presence_penalty", value => IsNumber(value, 0)),
        ("frequency_penalty", value => IsNumber(value, 0)),
        ("repetition_penalty", value => IsNumber(value, 1)),
        ("length_penalty", value => IsNumber(value, 1)),
        ("top_k", value => IsNumber(value, 0) || IsNumber(value, -1)),
        ("min_p", value => IsNumber(value, 0)),
        ("min_tokens", value => IsNumber(value, 0)),
        ("stop_token_ids", IsEmpty),
        ("bad_words", IsEmpty),
        ("allowed_token_ids", IsEmpty),
        ("truncate_prompt_tokens", _ => false),
        ("use_beam_search", value => value.ValueKind == JsonValueKind.False),
        ("echo", value => value.ValueKind == JsonValueKind.False),
        ("suffix", value => value.ValueKind == JsonValueKind.String && value.ValueEquals("")),
        ("include_stop_str_in_output", value => value.ValueKind == JsonValueKind.False),
        ("skip_special_tokens", value => value.ValueKind == JsonValueKind.True),
        ("guided_json", _ => false),
        ("guided_regex", _ => false),
        ("guided_choice", _ => false),
        ("guided_grammar", _ => false),
        ("structured_outputs", IsEmpty),
        ("functions", IsEmpty),
        ("function_call", value => value.ValueKind == JsonValueKind.String && value.ValueEquals("none")),
        ("parallel_tool_calls", value => value.ValueKind == JsonValueKind.True),
        ("add_generation_prompt", value => value.ValueKind == JsonValueKind.True),
        ("continue_final_message", value => value.ValueKind == JsonValueKind.False),
        ("chat_template", _ => false),
        ("chat_template_kwargs", IsEmpty),
        ("modalities", value => value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(item => item.ValueKind == JsonValueKind.String && item.ValueEquals("text"))),
        ("audio", _ => false),
        ("prediction", _ => false),
        ("web_search_options", _ => false),
    ];

    public static GenerationSettings Read(JsonFields body)
    {
        RefuseUnsupported(body);
        long? maxTokens = body.Integer("max_tokens", 1, int.MaxValue);
        return new GenerationSettings
        {
            MaxTokens = (int?)(body.Integer("max_completion_tokens", 1, int.MaxValue) ?? maxTokens),
            Temperature = body.Number("temperature"),
            TopP = body.Number("top_p"),
            Seed = (ulong?)body.Integer("seed", long.MinValue, long.MaxValue),
            Stops = ReadStops(body),
            IgnoreEos = body.Boolean("ignore_eos") ?? false,
            ReturnTokenIds = body.Boolean("return_token_ids") ?? false,
            TimeLimit = ReadTimeLimit(body),
        };
    }

    private static void RefuseUnsupported(JsonFields body)
    {
        foreach ((string name, Func<JsonElement, bool> isNeutral) in Unsupported)
        {
            if (body.Any(name) is { } value && !isNeutral(value))
                throw Refusal(name, $"'{name}' with this value is not supported yet; leave it out.");
        }

        if (body.Any("response_format") is not { } format)
            return;
        string type = JsonFields.Of(format, "response_format").RequiredString("type");
        if (type != "text")
            throw Refusal("response_format", $"'response_format' of type '{Excerpt.Of(type)}' is not supported yet; only 'text' is.");
    }

    public static RequestException Refusal(string parameter, string message) => new(RequestFault.Unsupported, message, parameter, "unsupported_parameter");

    private static string[] ReadStops(JsonFields body) => body.Any("stop") switch
    {
        null => [],
        { ValueKind: JsonValueKind.String } one => [one.GetString()!],
        // One more than is taken is enough to refuse them.
        { ValueKind: JsonValueKind.Array } several => [.. JsonFields.ItemsOf(several, "stop").Take(Admission.MaxStops + 1).Select(item => JsonFields.StringOf(item.Item, item.Path))],
        { } other => throw JsonFields.Mismatch("stop", "a string or an array of strings", other),
    };

    private static TimeSpan? ReadTimeLimit(JsonFields body) =>
        // Clamped to what a TimeSpan holds; admission says what is allowed.
        body.Number("timeout") is { } seconds ? TimeSpan.FromSeconds(Math.Clamp(seconds, -1, 1e9)) : null;

    private static bool IsNumber(JsonElement value, double neutral) => value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number == neutral;

    private static bool IsEmpty(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => value.GetPropertyCount() == 0,
        JsonValueKind.Array => value.GetArrayLength() == 0,
        _ => false,
    };
}
