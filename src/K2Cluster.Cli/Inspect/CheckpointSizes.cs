using K2Cluster.Checkpoint;

namespace K2Cluster.Cli;

/// <summary>Bytes of a checkpoint's parts, as they lie in its files.</summary>
/// <param name="MoeLayers">Layers with experts.</param>
/// <param name="LargestExpert">Of the largest routed expert.</param>
/// <param name="Experts">Of all routed experts.</param>
/// <param name="Trunk">Of all else that the model needs.</param>
/// <param name="ExpertFormat">INT4, BF16, or both.</param>
internal sealed record CheckpointSizes(int MoeLayers, long LargestExpert, long Experts, long Trunk, string ExpertFormat)
{
    /// <exception cref="CheckpointException">A tensor that the model needs is missing or wrong.</exception>
    public static CheckpointSizes Measure(ModelDirectory model) => Measure(model.Config, model.Catalog, model.Tensors);

    /// <exception cref="CheckpointException">A tensor that the model needs is missing or wrong.</exception>
    public static CheckpointSizes Measure(ModelConfig config, TensorCatalog catalog, ITensorSource tensors)
    {
        long trunk = catalog.CheckTrunk(tensors, 0, config.LayerCount);
        long experts = 0;
        long largest = 0;
        int moeLayers = 0;
        SortedSet<string> formats = [];
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            if (!config.IsMoeLayer(layer))
                continue;
            moeLayers++;
            for (int expert = 0; expert < config.RoutedExperts; expert++)
            {
                long bytes = catalog.CheckExpert(tensors, layer, expert);
                experts += bytes;
                largest = Math.Max(largest, bytes);
                formats.Add(catalog.IsExpertQuantized(layer, expert) ? "INT4" : "BF16");
            }
        }

        return new CheckpointSizes(moeLayers, largest, experts, trunk, string.Join(" and ", formats));
    }
}
