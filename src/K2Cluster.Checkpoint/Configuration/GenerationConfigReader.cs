namespace K2Cluster.Checkpoint;

/// <summary>Reads <c>generation_config.json</c>, where there is one.</summary>
internal static class GenerationConfigReader
{
    private const string EndTokenKey = "eos_token_id";
    private const int MaxEndTokens = 64;

    /// <param name="generation">The root of <c>generation_config.json</c>, or null where there is no such file.</param>
    /// <param name="root">The root of <c>config.json</c>.</param>
    /// <param name="model">What the latter states.</param>
    public static GenerationConfig Read(JsonSection? generation, JsonSection root, ModelConfig model)
    {
        JsonSection stating = generation is not null && generation.Has(EndTokenKey) ? generation
            : root.OptionalSection("text_config") is { } text && text.Has(EndTokenKey) ? text
            : root;
        return new GenerationConfig(
            stating.Ints(EndTokenKey, MaxEndTokens, 0, model.VocabularySize - 1),
            generation?.OptionalInt("max_length", 1, int.MaxValue),
            generation?.OptionalNumber("temperature", 0, 100),
            generation?.OptionalNumber("top_p", 0, 1));
    }
}
