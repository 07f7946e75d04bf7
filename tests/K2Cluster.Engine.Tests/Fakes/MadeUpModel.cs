using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Engine.Tests.Fakes;

/// <summary>A model without weights: its logits are a hash of all tokens so far and their order.</summary>
internal static class MadeUpModel
{
    public const int VocabularySize = 97;

    public static ulong Extend(ulong hash, int token) => Mix(hash ^ ((ulong)token + 1));

    public static void Logits(ulong hash, Span<float> logits)
    {
        for (int id = 0; id < logits.Length; id++)
            logits[id] = (Mix(hash + ((ulong)id * 0x9E3779B97F4A7C15)) >> 40) * (8f / (1 << 24)) - 4;
    }

    /// <summary>What the engine must answer, found without engine, pages or batches.</summary>
    public static List<GeneratedToken> Answer(GenerationRequest request, int maxTokens)
    {
        Sequence sequence = new(request, maxTokens, TimeSpan.MaxValue);
        Sampler sampler = new(VocabularySize);
        float[] logits = new float[VocabularySize];
        List<GeneratedToken> answer = [];
        FinishReason? finish = null;
        while (finish is null)
        {
            ulong hash = 0;
            foreach (int token in sequence.Tokens)
                hash = Extend(hash, token);
            Logits(hash, logits);
            int next = sampler.Sample(sequence, logits, out TokenLogprobs? logprobs);
            finish = sequence.Append(next, logprobs);
            answer.Add(new GeneratedToken(next, finish) { Logprobs = logprobs });
        }

        return answer;
    }

    /// <summary>The finaliser of SplitMix64.</summary>
    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
