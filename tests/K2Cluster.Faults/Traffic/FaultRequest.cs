using K2Cluster.Protocol.V1;

namespace K2Cluster.Faults.Traffic;

/// <summary>The requests of a run: greedy and sampled, with log-probabilities, penalties and masks. Each has a number, by which it is the same in every run.</summary>
internal static class FaultRequest
{
    /// <summary>So many are different; then they come again.</summary>
    public const int Distinct = 24;

    public static GenerateRequest Make(int number, int tokens)
    {
        int kind = number % Distinct;
        GenerationOptions options = new()
        {
            MaxTokens = (uint)tokens,
            IgnoreEos = true,
            ReturnTokenIds = true,
            Temperature = kind % 3 == 0 ? 0 : 1.1f,
            Seed = (ulong)kind,
        };
        switch (kind % 4)
        {
            case 1:
                options.Logprobs = 3;
                break;
            case 2:
                (options.FrequencyPenalty, options.RepetitionPenalty) = (0.4f, 1.1f);
                break;
            case 3:
                // A mask: tokens that may not come.
                foreach (int id in Enumerable.Range(32 + kind, 16))
                    options.LogitBias[(uint)id] = -100;
                break;
        }

        // By token ids, as made-up checkpoints have no tokenizer.
        IEnumerable<uint> prompt = Enumerable.Range(0, 12).Select(i => (uint)(32 + (((kind * 131) + (i * i * 17)) % 1500)));
        return new GenerateRequest { TokenIds = new TokenIds { Ids = { prompt } }, Options = options };
    }
}
