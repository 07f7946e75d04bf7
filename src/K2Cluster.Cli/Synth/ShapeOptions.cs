using System.CommandLine;
using K2Cluster.Checkpoint.Synthetic;

namespace K2Cluster.Cli;

/// <summary><c>--shape</c> and an option for each of its dimensions.</summary>
internal sealed class ShapeOptions
{
    private readonly Option<string> _preset;
    private readonly Option<string?> _expertFormat;
    private readonly List<(Option<int?> Option, Func<SyntheticShape, int, SyntheticShape> Apply)> _dimensions = [];

    public ShapeOptions()
    {
        string names = string.Join(", ", SyntheticShape.Presets.Keys);
        _preset = new Option<string>("--shape") { Description = $"A shape by name: {names}.", DefaultValueFactory = _ => "bench-4b", HelpName = "NAME" };
        _preset.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var name }] && !SyntheticShape.Presets.ContainsKey(name))
                result.AddError($"--shape {TerminalText.Of(name)}: known shapes are {names}.");
        });
        _expertFormat = new Option<string?>("--expert-format") { Description = "int4 (K2 Thinking) or bf16 (Moonlight).", HelpName = "FORMAT" };
        _expertFormat.AcceptOnlyFromAmong("int4", "bf16");

        Dimension("--layers", "Layers.", 1, 1024, (shape, value) => shape with { Layers = value });
        Dimension("--dense-layers", "Of these, the first that have a dense MLP.", 0, 1024, (shape, value) => shape with { DenseLayers = value });
        Dimension("--hidden", "Width of the residual stream.", 1, 1 << 16, (shape, value) => shape with { Hidden = value });
        Dimension("--intermediate", "Width of a dense MLP.", 1, 1 << 18, (shape, value) => shape with { Intermediate = value });
        Dimension("--experts", "Routed experts of a layer.", 1, 4096, (shape, value) => shape with { Experts = value });
        Dimension("--experts-per-token", "Experts that a token goes to.", 1, 64, (shape, value) => shape with { ExpertsPerToken = value });
        Dimension("--expert-intermediate", "Width of an expert.", 1, 1 << 16, (shape, value) => shape with { ExpertIntermediate = value });
        Dimension("--shared-experts", "Experts that every token goes to.", 1, 64, (shape, value) => shape with { SharedExperts = value });
        Dimension("--heads", "Attention heads.", 1, 1 << 10, (shape, value) => shape with { Heads = value });
        Dimension("--query-rank", "Rank of the queries; 0 for one query matrix.", 0, 1 << 14, (shape, value) => shape with { QueryRank = value == 0 ? null : value });
        Dimension("--kv-rank", "Rank of the latent that the KV cache keeps.", 1, 1 << 14, (shape, value) => shape with { KvRank = value });
        Dimension("--nope-dim", "Elements of a head's key without position.", 1, 1 << 12, (shape, value) => shape with { NopeDim = value });
        Dimension("--rope-dim", "Elements of the key with position.", 2, 1 << 12, (shape, value) => shape with { RopeDim = value });
        Dimension("--value-dim", "Elements of a head's value.", 1, 1 << 12, (shape, value) => shape with { ValueDim = value });
        Dimension("--vocabulary", "Tokens of the vocabulary.", 1, 1 << 22, (shape, value) => shape with { Vocabulary = value });
        Dimension("--context", "Positions; beyond 4,096 by YaRN.", 1, 1 << 24, (shape, value) => shape with { Context = value });
    }

    public void AddTo(Command command)
    {
        command.Add(_preset);
        foreach ((Option<int?> option, _) in _dimensions)
            command.Add(option);
        command.Add(_expertFormat);
    }

    /// <summary>The name given, with what was changed of it.</summary>
    public string NameOf(ParseResult parsed) => string.Join(
        ' ', [parsed.GetValue(_preset)!, .. _dimensions.Where(dimension => parsed.GetValue(dimension.Option) is not null).Select(dimension => $"{dimension.Option.Name} {parsed.GetValue(dimension.Option)}")]);

    public SyntheticShape Read(ParseResult parsed)
    {
        SyntheticShape shape = SyntheticShape.Presets[parsed.GetValue(_preset)!];
        foreach ((Option<int?> option, Func<SyntheticShape, int, SyntheticShape> apply) in _dimensions)
        {
            if (parsed.GetValue(option) is int value)
                shape = apply(shape, value);
        }

        return parsed.GetValue(_expertFormat) is { } format ? shape with { Int4Experts = format == "int4" } : shape;
    }

    private void Dimension(string name, string description, int min, int max, Func<SyntheticShape, int, SyntheticShape> apply) =>
        _dimensions.Add((CommandOptions.Number(name, description, min, max), apply));
}
