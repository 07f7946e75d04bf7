namespace K2Cluster.Checkpoint;

/// <summary>Reads <c>generation_config.json</c>, where there is one.</summary>
internal static class GenerationConfigReader
{
    private const string EndTokenKey = "eos_token_id";
    private const int MaxEndTokens = 64;

    /// <summary>The most that a request may ask for: a larger default would be refused as the fault of requests that give none.</summary>
    private const double MaxTemperature = 2;

    /// <param name="generation">The root of <c>generation_config.json</c>, or null where there is no such file.</param>
    /// <param name="root">The root of <c>config.json</c>.</param>
    /// <param name="model">What the latter states.</param>
    public static GenerationConfig Read(JsonSection? generation, JsonSection root, ModelConfig model)
    {
        JsonSection stating = generation is not null && generation.Has(EndTokenKey) ? generation
            : root.OptionalSection("text_config") is { } text && text.Has(EndTokenKey) ? text
            : root;
        double? topP = generation?.OptionalNumber("top_p", 0, 1);
        // As samplers see it, in single precision: with 0 no token is left.
        if (topP is { } given && (float)given == 0)
            throw generation!.Refused("top_p", "it must be above 0 and at most 1");
        return new GenerationConfig(
            stating.Ints(EndTokenKey, MaxEndTokens, 0, model.VocabularySize - 1),
            generation?.OptionalInt("max_length", 1, int.MaxValue),
            generation?.OptionalNumber("temperature", 0, MaxTemperature),
            topP);
    }
}
