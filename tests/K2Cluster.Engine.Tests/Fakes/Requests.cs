namespace K2Cluster.Engine.Tests.Fakes;

internal static class Requests
{
    /// <summary>How long a test waits for what must come.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>A request whose prompt begins with <paramref name="mark"/>; its other tokens follow from mark and length.</summary>
    public static GenerationRequest Make(int mark, int promptLength, int maxTokens, SamplingParameters? sampling = null, TimeSpan? limit = null)
    {
        int[] prompt = new int[promptLength];
        for (int i = 0; i < promptLength; i++)
            prompt[i] = (mark + (i * (promptLength + 3))) % MadeUpModel.VocabularySize;
        return new GenerationRequest
        {
            Id = $"r{mark}",
            Prompt = prompt,
            MaxTokens = maxTokens,
            Sampling = sampling ?? SamplingParameters.Greedy,
            TimeLimit = limit ?? TimeSpan.FromMinutes(10),
        };
    }

    /// <summary>Prompts and answers that end before, on and behind page boundaries, sampled in several ways.</summary>
    public static GenerationRequest[] Mixed(int count)
    {
        int[] lengths = [1, 2, 17, 62, 63, 64, 65, 127, 128, 130, 200];
        int[] answers = [1, 2, 5, 40, 64, 70];
        return [.. Enumerable.Range(0, count).Select(i => Make(i % 97, lengths[i % lengths.Length], answers[i % answers.Length], (i % 4) switch
        {
            0 => SamplingParameters.Greedy,
            1 => new SamplingParameters(Temperature: 0.8f, TopP: 0.9f, Seed: (ulong)i),
            2 => new SamplingParameters(Temperature: 1.5f, Seed: (ulong)i),
            _ => new SamplingParameters(TopP: 0.5f, Seed: (ulong)i),
        }) with { StopTokens = i % 3 == 0 ? [5, 6] : [] })];
    }

    public static Task<List<GeneratedToken>> Collect(this IEngine engine, GenerationRequest request, CancellationToken cancellation = default) =>
        Collect(engine.GenerateAsync(request, cancellation)).WaitAsync(Patience, CancellationToken.None);

    /// <summary>What depends on other requests is left out: how much the prefix cache had.</summary>
    public static async Task<List<GeneratedToken>> Collect(IAsyncEnumerable<GeneratedToken> tokens)
    {
        List<GeneratedToken> all = [];
        await foreach (GeneratedToken token in tokens)
            all.Add(token with { CachedTokens = 0 });
        return all;
    }

    /// <summary>A request that needs every page there is: it ends only when no other holds one.</summary>
    public static GenerationRequest WholePool(GenerationEngine engine) => Make(3, engine.MaxContext - 2, 2);
}
