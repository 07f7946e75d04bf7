using System.CommandLine;
using K2Cluster.Checkpoint;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 inspect DIR</c>: opens a checkpoint, checks every tensor a model of it needs, and says what it is.</summary>
internal static class InspectCommand
{
    public static Command Create(IAnsiConsole console)
    {
        Argument<string> directory = new("DIR") { Description = "A checkpoint: the directory that holds config.json." };
        Command command = new("inspect", "Checks a checkpoint, every shape and type of it, and prints its family, shapes and sizes.") { directory };
        command.SetAction(parsed => Run(parsed.GetValue(directory)!, console));
        return command;
    }

    private static void Run(string directory, IAnsiConsole console)
    {
        using ModelDirectory model = ModelDirectory.Open(directory);
        CheckpointSizes sizes = CheckpointSizes.Measure(model);
        ModelConfig config = model.Config;

        Table table = new() { Border = TableBorder.None, ShowHeaders = false };
        table.AddColumns("", "");
        Row("checkpoint", model.Path);
        Row("family", $"{FamilyOf(config)} ({config.ModelType})");
        Row("layers", $"{config.LayerCount}, of which {sizes.MoeLayers} with experts");
        Row("hidden, vocabulary", $"{config.HiddenSize:N0}, {config.VocabularySize:N0}");
        Row("attention", $"{config.HeadCount} heads of {config.QkNopeHeadDim}+{config.QkRopeHeadDim} (value {config.ValueHeadDim}), latent {config.KvLoraRank}, query rank {config.QueryLoraRank?.ToString() ?? "none"}");
        Row("experts", $"{config.RoutedExperts} a layer, {config.ExpertsPerToken} a token, width {config.MoeIntermediateSize:N0}, {config.SharedExperts} shared");
        Row("context", $"{config.MaxPositions:N0} tokens{(config.RopeScaling is { } yarn ? $", yarn {yarn.Factor} from {yarn.OriginalMaxPositions:N0}, beta {yarn.BetaFast} to {yarn.BetaSlow}" : "")}");
        Row("end tokens", string.Join(", ", model.Generation.EndTokens));
        Row("an expert", $"{Bytes(sizes.LargestExpert)} ({sizes.ExpertFormat})");
        Row("all experts", Bytes(sizes.Experts));
        Row("trunk", $"{Bytes(sizes.Trunk)} (BF16)");
        Row("KV cache", $"{config.KvBytesPerToken:N0} bytes a token, {Bytes(config.KvBytesPerToken * config.MaxPositions)} for a whole context");
        Row("tokenizer", model.HasTokenizer ? "tiktoken.model" : "none: serves token ids only");
        Row("weight files", $"{model.WeightFiles.Count}, all that the model needs is there");
        console.Write(table);

        void Row(string name, string value) => table.AddRow(new Spectre.Console.Text(name, new Style(decoration: Decoration.Dim)), new Spectre.Console.Text(value));
    }

    private static string FamilyOf(ModelConfig config) => config switch
    {
        { TensorPrefix.Length: > 0 } => "Kimi K2.5 or later, text part",
        { ModelType: "kimi_k2" } => "Kimi K2",
        { QueryLoraRank: null } => "Moonlight",
        _ => "DeepSeek V3",
    };

    private static string Bytes(long count) => count switch
    {
        >= 1L << 30 => $"{count / (double)(1L << 30):N2} GiB",
        >= 1L << 20 => $"{count / (double)(1L << 20):N2} MiB",
        _ => $"{count / 1024.0:N1} KiB",
    };
}
