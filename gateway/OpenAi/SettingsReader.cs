using System.Globalization;
using System.Text.Json;
using K2Cluster.Engine;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>The parameters that chat and completions have in common.</summary>
internal static class SettingsReader
{
    /// <summary>Parameters that would change the answer, which this version cannot give, with what leaves the answer as it is.</summary>
    private static readonly (string Name, Func<JsonElement, bool> IsNeutral)[] Unsupported =
    [
        ("prompt_logprobs", _ => false),
        ("length_penalty", value => IsNumber(value, 1)),
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

    /// <summary>Of a 32-bit number.</summary>
    private const int MaxIdDigits = 10;

    public static GenerationSettings Read(JsonFields body)
    {
        RefuseUnsupported(body);
        long? maxTokens = body.Integer("max_tokens", 1, int.MaxValue);
        int choices = (int)(body.Integer("n", 1, SettingsCheck.MaxChoices) ?? 1);
        if (body.Any("best_of") is { } best && !IsNumber(best, choices))
            throw Refusal("best_of", "'best_of' must be as large as 'n': answers are not ranked here.");
        return new GenerationSettings
        {
            MaxTokens = (int?)(body.Integer("max_completion_tokens", 1, int.MaxValue) ?? maxTokens),
            Temperature = body.Number("temperature"),
            TopP = body.Number("top_p"),
            TopK = (int?)body.Integer("top_k", -1, int.MaxValue) is { } topK ? Math.Max(topK, 0) : null,
            MinP = body.Number("min_p"),
            RepetitionPenalty = body.Number("repetition_penalty"),
            PresencePenalty = body.Number("presence_penalty"),
            FrequencyPenalty = body.Number("frequency_penalty"),
            LogitBias = ReadBiases(body),
            Choices = choices,
            Priority = (int)(body.Integer("priority", int.MinValue, int.MaxValue) ?? 0),
            MinTokens = (int)(body.Integer("min_tokens", 0, int.MaxValue) ?? 0),
            StopTokenIds = ReadStopTokens(body),
            Seed = (ulong?)body.Integer("seed", long.MinValue, long.MaxValue),
            Stops = ReadStops(body),
            IgnoreEos = body.Boolean("ignore_eos") ?? false,
            ReturnTokenIds = body.Boolean("return_token_ids") ?? false,
            TimeLimit = ReadTimeLimit(body),
        };
    }

    /// <summary>Chat: 'logprobs' is a boolean, 'top_logprobs' says how many.</summary>
    public static int? ReadChatLogprobs(JsonFields body)
    {
        bool wanted = body.Boolean("logprobs") ?? false;
        int top = (int)(body.Integer("top_logprobs", 0, SamplingParameters.MaxTopLogprobs) ?? 0);
        if (top > 0 && !wanted)
            throw RequestException.Invalid("top_logprobs", $"'top_logprobs' is {top}; it is only taken with 'logprobs': true.");
        return wanted ? top : null;
    }

    /// <summary>Completions: 'logprobs' says how many; more than OpenAI's 5 are taken.</summary>
    public static int? ReadCompletionLogprobs(JsonFields body)
    {
        if (body.Any("top_logprobs") is { } top && !IsNumber(top, 0))
            throw Refusal("top_logprobs", "'top_logprobs' is a parameter of chat; here 'logprobs' says how many.");
        return body.Any("logprobs") is { ValueKind: JsonValueKind.False } ? null : (int?)body.Integer("logprobs", 0, SamplingParameters.MaxTopLogprobs);
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
        { ValueKind: JsonValueKind.Array } several => [.. JsonFields.ItemsOf(several, "stop").Take(SettingsCheck.MaxStops + 1).Select(item => JsonFields.StringOf(item.Item, item.Path))],
        { } other => throw JsonFields.Mismatch("stop", "a string or an array of strings", other),
    };

    private static int[] ReadStopTokens(JsonFields body)
    {
        if (body.Any("stop_token_ids") is not { } ids)
            return [];
        if (ids.ValueKind == JsonValueKind.Array && ids.GetArrayLength() > SettingsCheck.MaxStopTokens)
            throw SettingsCheck.TooMany("stop_token_ids", ids.GetArrayLength(), "ids", SettingsCheck.MaxStopTokens);
        return TokenIds.Read(ids, "stop_token_ids");
    }

    private static TokenBias[] ReadBiases(JsonFields body)
    {
        if (body.Any("logit_bias") is not { } map)
            return [];
        JsonFields biases = JsonFields.Of(map, "logit_bias");
        int count = map.GetPropertyCount();
        if (count > SamplingParameters.MaxLogitBias)
            throw SettingsCheck.TooMany("logit_bias", count, "tokens", SamplingParameters.MaxLogitBias);
        return [.. map.EnumerateObject().Select(member =>
        {
            if (member.Name.Length > MaxIdDigits || !int.TryParse(member.Name, NumberStyles.None, CultureInfo.InvariantCulture, out int token))
                throw RequestException.Invalid("logit_bias", $"'logit_bias' has '{Excerpt.Of(member.Name)}', which is no token id.");
            double bias = biases.Number(member.Name) ?? throw JsonFields.Mismatch(biases.Path(member.Name), "a number", member.Value);
            return new TokenBias(token, (float)bias);
        })];
    }

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
