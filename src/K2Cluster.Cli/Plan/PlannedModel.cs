using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;

namespace K2Cluster.Cli;

/// <summary>What a plan needs to know of a model: from its checkpoint, or from a shape's name alone.</summary>
/// <param name="Name">For people.</param>
/// <param name="Config">Its shapes.</param>
/// <param name="Sizes">Its bytes.</param>
internal sealed record PlannedModel(string Name, ModelConfig Config, CheckpointSizes Sizes)
{
    /// <summary>Of the trunk, what a step reads: all but the embedding, of which it reads a row for each token.</summary>
    public long StepBytes => Sizes.Trunk - (Config.TieEmbeddings ? 0 : (long)Config.VocabularySize * Config.HiddenSize * sizeof(ushort));

    /// <exception cref="CheckpointException">The checkpoint cannot be read, or lacks something.</exception>
    /// <exception cref="CommandException">It has no experts to place.</exception>
    public static PlannedModel Read(string nameOrDirectory)
    {
        PlannedModel model;
        if (!Directory.Exists(nameOrDirectory) && SyntheticShape.Presets.TryGetValue(nameOrDirectory, out SyntheticShape? shape))
        {
            SyntheticCheckpoint checkpoint = new(shape, seed: 1);
            model = new PlannedModel(nameOrDirectory, checkpoint.Config, CheckpointSizes.Measure(checkpoint.Config, new TensorCatalog(checkpoint.Config), checkpoint.CreateSource()));
        }
        else
        {
            if (!Directory.Exists(nameOrDirectory))
                throw new CommandException($"{TerminalText.Of(nameOrDirectory)}: there is neither a checkpoint nor a shape of that name. Shapes are {string.Join(", ", SyntheticShape.Presets.Keys)}.");
            using ModelDirectory directory = ModelDirectory.Open(nameOrDirectory);
            model = new PlannedModel(nameOrDirectory, directory.Config, CheckpointSizes.Measure(directory));
        }

        return model.Sizes.MoeLayers > 0 ? model : throw new CommandException($"{TerminalText.Of(nameOrDirectory)}: the model has no layer with experts, so there is nothing to place.");
    }
}
