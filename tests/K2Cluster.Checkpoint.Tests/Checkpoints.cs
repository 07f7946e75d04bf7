namespace K2Cluster.Checkpoint.Tests;

internal static class Checkpoints
{
    /// <summary>All that a process which needs every tensor checks before it starts.</summary>
    public static void CheckAll(ModelDirectory model)
    {
        ModelConfig config = model.Config;
        model.Catalog.CheckTrunk(model.Tensors, 0, config.LayerCount);
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            for (int expert = 0; config.IsMoeLayer(layer) && expert < config.RoutedExperts; expert++)
                model.Catalog.CheckExpert(model.Tensors, layer, expert);
        }
    }
}
