using K2Cluster.Engine;

namespace K2Cluster.Gateway.Serving;

/// <summary>Holds what a request says about how to generate against what is allowed, whichever API it came by.</summary>
internal static class SettingsCheck
{
    /// <summary>Most stop strings.</summary>
    public const int MaxStops = 16;

    /// <summary>Most of 'stop_token_ids', as vLLM has it.</summary>
    public const int MaxStopTokens = 128;

    /// <summary>Most answers to one prompt: each is a request to the engine, with pages of its own for what it generates.</summary>
    public const int MaxChoices = 16;

    private const int MaxStopLength = 1024;

    /// <exception cref="RequestException">Names the parameter, its value and what is allowed.</exception>
    public static void Check(GenerationSettings settings, ServedModel model)
    {
        if (settings.MaxTokens is < 1)
            throw RequestException.Invalid("max_tokens", $"'max_tokens' is {settings.MaxTokens}; it must be at least 1.");
        CheckRange("temperature", settings.Temperature, 0, 2);
        // Checked as the engine will see it: the smallest doubles are 0 in single precision.
        if (settings.TopP is { } topP && !((float)topP > 0 && topP <= 1))
            throw RequestException.Invalid("top_p", $"'top_p' is {topP}; it must be above 0 and at most 1.");
        if (settings.TopK is < 0)
            throw RequestException.Invalid("top_k", $"'top_k' is {settings.TopK}; it must be a number of tokens, or 0 or -1 for all.");
        CheckRange("min_p", settings.MinP, 0, 1);
        CheckRange("repetition_penalty", settings.RepetitionPenalty, 1 / SamplingParameters.MaxRepetitionPenalty, SamplingParameters.MaxRepetitionPenalty);
        CheckRange("presence_penalty", settings.PresencePenalty, -SamplingParameters.MaxPenalty, SamplingParameters.MaxPenalty);
        CheckRange("frequency_penalty", settings.FrequencyPenalty, -SamplingParameters.MaxPenalty, SamplingParameters.MaxPenalty);
        CheckCount("n", settings.Choices, 1, MaxChoices);
        CheckCount("priority", settings.Priority, -GenerationRequest.MaxPriority, GenerationRequest.MaxPriority);
        CheckCount("min_tokens", settings.MinTokens, 0, settings.MaxTokens ?? int.MaxValue);
        CheckCount("logprobs", settings.TopLogprobs ?? 0, 0, SamplingParameters.MaxTopLogprobs);
        if (settings.TimeLimit is { } limit && !(limit > TimeSpan.Zero && limit <= Admission.MaxTimeLimit))
            throw RequestException.Invalid("timeout", $"'timeout' is {limit.TotalSeconds:0.###} s; it must be above 0 and at most {Admission.MaxTimeLimit.TotalSeconds:0}.");
        CheckGenerated(settings, model);
        CheckBiases(settings.LogitBias, model);
        CheckStopTokens(settings.StopTokenIds, model);
        CheckStops(settings.Stops, model);
    }

    public static void CheckIds(ReadOnlySpan<int> ids, string parameter, ServedModel model)
    {
        for (int i = 0; i < ids.Length; i++)
        {
            if ((uint)ids[i] >= (uint)model.Engine.VocabularySize)
                throw RequestException.Invalid($"{parameter}[{i}]", $"'{parameter}[{i}]' is {ids[i]}; the vocabulary has ids 0 to {model.Engine.VocabularySize - 1}.");
        }
    }

    /// <summary>What is too many to be read at all.</summary>
    public static RequestException TooMany(string parameter, int count, string of, int most) =>
        RequestException.Invalid(parameter, $"'{parameter}' has {count} {of}; at most {most} are taken.");

    // Bounds are the engine's, in single precision.
    private static void CheckRange(string parameter, double? value, float least, float most)
    {
        if (value is { } given && !(given >= least && given <= most))
            throw RequestException.Invalid(parameter, $"'{parameter}' is {given}; it must be {least} to {most}.");
    }

    private static void CheckCount(string parameter, int value, int least, int most)
    {
        if (value < least || value > most)
            throw RequestException.Invalid(parameter, $"'{parameter}' is {value}; it must be {least} to {most}.");
    }

    private static void CheckGenerated(GenerationSettings settings, ServedModel model)
    {
        CheckCount("choice", settings.FirstChoice, 0, settings.Choices - 1);
        if (settings.Generated is not { } generated)
        {
            if (settings.FirstChoice != 0)
                throw RequestException.Invalid("choice", $"'choice' is {settings.FirstChoice}, which says which answer goes on: it needs 'generated'.");
            return;
        }

        if (settings.Seed is null)
            throw RequestException.Invalid("seed", "'seed' is required with 'generated': the one that 'started' told, else the answer would go on as another.");
        CheckIds(generated, "generated", model);
    }

    private static void CheckBiases(IReadOnlyList<TokenBias> biases, ServedModel model)
    {
        if (biases.Count > SamplingParameters.MaxLogitBias)
            throw TooMany("logit_bias", biases.Count, "tokens", SamplingParameters.MaxLogitBias);
        foreach ((int token, float bias) in biases)
        {
            if ((uint)token >= (uint)model.Engine.VocabularySize)
                throw RequestException.Invalid("logit_bias", $"'logit_bias' has token {token}; the vocabulary has ids 0 to {model.Engine.VocabularySize - 1}.");
            CheckRange($"logit_bias.{token}", bias, -SamplingParameters.MaxBias, SamplingParameters.MaxBias);
        }
    }

    private static void CheckStopTokens(IReadOnlyList<int> tokens, ServedModel model)
    {
        if (tokens.Count > MaxStopTokens)
            throw TooMany("stop_token_ids", tokens.Count, "ids", MaxStopTokens);
        CheckIds([.. tokens], "stop_token_ids", model);
    }

    private static void CheckStops(IReadOnlyList<string> stops, ServedModel model)
    {
        if (stops.Count == 0)
            return;
        model.TokenizerFor("stop");
        if (stops.Count > MaxStops)
            throw TooMany("stop", stops.Count, "strings", MaxStops);
        for (int i = 0; i < stops.Count; i++)
        {
            if (stops[i].Length is 0 or > MaxStopLength)
                throw RequestException.Invalid($"stop[{i}]", $"'stop[{i}]' has {stops[i].Length} characters; it must have 1 to {MaxStopLength}.");
        }
    }
}
