using System.CommandLine;
using System.Diagnostics;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Text;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 synth DIR</c>: writes a checkpoint of random weights, to measure and to test with.</summary>
internal static class SynthCommand
{
    private static readonly string[] TokenizerFiles = ["tiktoken.model", "tokenizer_config.json"];

    public static Command Create(IAnsiConsole console)
    {
        Argument<string> directory = new("DIR") { Description = "Where the checkpoint goes." };
        ShapeOptions shape = new();
        Option<long> seed = new("--seed") { Description = "Of the weights: the same seed and shape give the same bytes.", DefaultValueFactory = _ => 1, HelpName = "N" };
        Option<string?> tokenizer = new("--tokenizer") { Description = "A checkpoint whose tokenizer is copied; without one the model serves token ids only.", HelpName = "DIR" };
        Option<bool> force = new("--force") { Description = "Replace the checkpoint that is in DIR." };
        Command command = new("synth", "Writes a checkpoint of random weights in any shape of the K2 family.") { directory };
        shape.AddTo(command);
        command.Add(seed);
        command.Add(tokenizer);
        command.Add(force);
        command.SetAction((parsed, _) => RunAsync(
            parsed.GetValue(directory)!, shape.Read(parsed), parsed.GetValue(seed), parsed.GetValue(tokenizer), parsed.GetValue(force), console));
        return command;
    }

    private static async Task<int> RunAsync(string directory, SyntheticShape shape, long seed, string? tokenizer, bool force, IAnsiConsole console)
    {
        if (tokenizer is not null)
            shape = shape with { EndToken = EndTokenOf(tokenizer, shape.Vocabulary) };
        SyntheticCheckpoint checkpoint = new(shape, seed);
        string[] files = tokenizer is null ? [] : [.. TokenizerFiles.Select(name => Path.Combine(tokenizer, name)).Where(File.Exists)];

        long started = Stopwatch.GetTimestamp();
        using Interrupt interrupt = new();
        try
        {
            await interrupt.RunAsync(cancellation => console.Progress().StartAsync(async context =>
            {
                ProgressTask task = context.AddTask($"{checkpoint.TotalBytes / 1e9:N2} GB", maxValue: checkpoint.TotalBytes);
                await Task.Run(() => checkpoint.Write(directory, force, files, bytes => task.Increment(bytes), cancellation), CancellationToken.None);
            }));
        }
        catch (OperationCanceledException)
        {
            throw new CommandException("The synth was cancelled: nothing is left of it.");
        }

        console.WriteLine($"{directory}: {checkpoint.FileCount} weight files, {checkpoint.TotalBytes:N0} bytes in {Stopwatch.GetElapsedTime(started).TotalSeconds:N1} s");
        return 0;
    }

    /// <summary>Where the tokenizer ends an answer, once it is known to fit.</summary>
    private static int EndTokenOf(string directory, int vocabulary)
    {
        try
        {
            K2Tokenizer read = K2Tokenizer.TryLoad(directory) ?? throw new CommandException($"{directory}: has no tokenizer (tiktoken.model).");
            if (read.VocabularySize > vocabulary)
                throw new CommandException($"{directory}: its tokenizer has {read.VocabularySize:N0} tokens, the shape {vocabulary:N0}. Give --vocabulary {read.VocabularySize}.");
            return read.Special.Stops is [int end, ..] ? end : vocabulary - 1;
        }
        catch (TokenizerException failure)
        {
            throw new CommandException(TerminalText.Of(failure.Message));
        }
    }
}
