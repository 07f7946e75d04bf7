using System.Runtime.CompilerServices;
using K2Cluster.Checkpoint;

namespace K2Cluster.Trunk.Routing;

/// <summary>One row's choice of experts from its scores. Always gives valid, distinct ids, whatever the scores are.</summary>
internal static class ExpertChoice
{
    /// <param name="config">Groups, top-k and weighing.</param>
    /// <param name="scores">[experts].</param>
    /// <param name="choices">[experts]: score + bias.</param>
    /// <param name="ids">[top-k]: by falling choice, ties by rising index.</param>
    /// <param name="weights">[top-k].</param>
    [SkipLocalsInit]
    public static void Choose(ModelConfig config, ReadOnlySpan<float> scores, ReadOnlySpan<float> choices, Span<int> ids, Span<float> weights)
    {
        Span<bool> open = stackalloc bool[choices.Length];
        open.Fill(true);
        if (config.Groups > 1)
            CloseGroups(config, choices, open);

        float sum = 0;
        for (int i = 0; i < ids.Length; i++)
        {
            int best = TakeBest(choices, open);
            ids[i] = best;
            weights[i] = scores[best];
            sum += weights[i];
        }

        bool normalise = config.NormaliseTopK && ids.Length > 1;
        for (int i = 0; i < weights.Length; i++)
        {
            float weight = normalise ? weights[i] / (sum + 1e-20f) : weights[i];
            weights[i] = weight * (float)config.RoutedScalingFactor;
        }
    }

    /// <summary>Leaves open the experts of the best groups; a group's score is the sum of its two best choices.</summary>
    private static void CloseGroups(ModelConfig config, ReadOnlySpan<float> choices, Span<bool> open)
    {
        int size = choices.Length / config.Groups;
        Span<float> groups = stackalloc float[config.Groups];
        for (int group = 0; group < config.Groups; group++)
        {
            ReadOnlySpan<float> members = choices.Slice(group * size, size);
            Span<bool> left = open.Slice(group * size, size);
            int first = TakeBest(members, left);
            int second = TakeBest(members, left);
            groups[group] = members[first] + members[second];
        }

        open.Clear();
        Span<bool> leftGroups = stackalloc bool[config.Groups];
        leftGroups.Fill(true);
        for (int i = 0; i < config.TopKGroups; i++)
            open.Slice(TakeBest(groups, leftGroups) * size, size).Fill(true);
    }

    /// <summary>The open index of the largest value, the lowest of equals; it is closed.</summary>
    private static int TakeBest(ReadOnlySpan<float> values, Span<bool> open)
    {
        int best = -1;
        for (int i = 0; i < values.Length; i++)
        {
            if (open[i] && (best < 0 || values[i] > values[best]))
                best = i;
        }

        open[best] = false;
        return best;
    }
}
