using System.CommandLine;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli;

/// <summary>The commands that change a placement, each once to do it and once, under <c>what-if</c>, only to tell.</summary>
internal sealed class ClusterChanges(ClusterCommand cluster, TextWriter error, TimeProvider time)
{
    /// <summary>As a drain ends that waits for what stays.</summary>
    private const int Failed = 1;

    /// <param name="mayTellOnly">Whether they do it, unless --what-if is given; else they tell.</param>
    public IEnumerable<Command> Create(bool mayTellOnly) =>
    [
        Replicate(mayTellOnly),
        Move(mayTellOnly),
        Drop(mayTellOnly),
        Unpin(mayTellOnly),
        Drain(mayTellOnly),
        Undrain(mayTellOnly),
        Rebalance(mayTellOnly),
    ];

    public static (Argument<int> Layer, Argument<int> Expert) ExpertArguments() => (Number("LAYER", "The layer's number, as k2 cluster plan shows it."), Number("EXPERT", "The expert's number in its layer, from 0."));

    private Command Replicate(bool mayTellOnly)
    {
        (Argument<int> layer, Argument<int> expert) = OptionalExpert();
        Option<string[]> to = new("--to") { Description = "A shard for one more replica; several for several.", HelpName = "SHARD", AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [] };
        Option<int?> copies = CommandOptions.Number("--copies", "So many replicas in all, wherever there is room.", 1, 64);
        Option<bool> all = new("--all") { Description = "Every expert, as far as memory goes; with --copies." };
        Command command = new("replicate", "Puts an expert on further shards, or makes it so many replicas.") { layer, expert, to, copies, all };
        command.Validators.Add(result =>
        {
            bool named = result.GetResult(expert) is { Tokens.Count: > 0 };
            bool isAll = result.GetResult(all) is not null;
            bool hasTo = result.GetResult(to) is { Tokens.Count: > 0 };
            bool hasCopies = result.GetResult(copies) is not null;
            if (named == isAll)
                result.AddError("replicate: LAYER and EXPERT are expected, or --all.");
            else if (hasTo == hasCopies || (isAll && hasTo))
                result.AddError(isAll ? "replicate --all: --copies N is expected." : "replicate: --to SHARD or --copies N is expected, and not both.");
        });
        return Change(command, mayTellOnly, parsed =>
        {
            if (parsed.GetValue(all))
                return new PlacementChange { Replicas = new SetReplicas { Replicas = (uint)parsed.GetValue(copies)!.Value } };
            Replicate replicate = new() { Layer = (uint)parsed.GetValue(layer), Expert = (uint)parsed.GetValue(expert), To = { parsed.GetValue(to)! } };
            if (parsed.GetValue(copies) is { } count)
                replicate.Copies = (uint)count;
            return new PlacementChange { Replicate = replicate };
        });
    }

    private Command Move(bool mayTellOnly)
    {
        (Argument<int> layer, Argument<int> expert) = ExpertArguments();
        Option<string> to = new("--to") { Description = "The shard that is to hold it.", HelpName = "SHARD", Required = true };
        Option<string> from = new("--from") { Description = "Which replica, where it has several.", HelpName = "SHARD" };
        return Change(new Command("move", "Moves an expert to another shard: loaded there, then dropped here.") { layer, expert, to, from }, mayTellOnly, parsed =>
            new PlacementChange { Move = new Move { Layer = (uint)parsed.GetValue(layer), Expert = (uint)parsed.GetValue(expert), To = parsed.GetValue(to)!, From = parsed.GetValue(from) ?? "" } });
    }

    private Command Drop(bool mayTellOnly)
    {
        (Argument<int> layer, Argument<int> expert) = ExpertArguments();
        Option<string> from = new("--from") { Description = "The shard that is to give it up.", HelpName = "SHARD", Required = true };
        return Change(new Command("drop", "Gives up one replica of an expert; not the last.") { layer, expert, from }, mayTellOnly, parsed =>
            new PlacementChange { Drop = new Drop { Layer = (uint)parsed.GetValue(layer), Expert = (uint)parsed.GetValue(expert), From = parsed.GetValue(from)! } });
    }

    private Command Unpin(bool mayTellOnly)
    {
        (Argument<int> layer, Argument<int> expert) = OptionalExpert();
        Option<bool> all = new("--all") { Description = "Of all experts, and the replicas of every expert." };
        Command command = new("unpin", "Takes back what replicate, move and drop asked for: the expert is planned as others are.") { layer, expert, all };
        command.Validators.Add(result =>
        {
            if ((result.GetResult(expert) is { Tokens.Count: > 0 }) == (result.GetResult(all) is not null))
                result.AddError("unpin: LAYER and EXPERT are expected, or --all.");
        });
        return Change(command, mayTellOnly, parsed =>
            new PlacementChange { Unpin = parsed.GetValue(all) ? new Unpin() : new Unpin { Expert = new ExpertName { Layer = (uint)parsed.GetValue(layer), Expert = (uint)parsed.GetValue(expert) } } });
    }

    private Command Drain(bool mayTellOnly)
    {
        Argument<string> silo = new("SILO") { Description = "The silo's name." };
        Command command = new("drain", "Has a silo hold nothing, and waits until it does: then it can be stopped.") { silo };
        Option<bool> noWait = new("--no-wait") { Description = "Returns at once." };
        if (mayTellOnly)
            command.Add(noWait);
        return Change(
            command,
            mayTellOnly,
            parsed => new PlacementChange { Drain = new Drain { Silo = parsed.GetValue(silo)! } },
            (parsed, connection, cancellation) => parsed.GetValue(noWait) ? Task.FromResult(0) : new DrainWait(connection, error, time).RunAsync(parsed.GetValue(silo)!, cancellation));
    }

    private Command Undrain(bool mayTellOnly)
    {
        Argument<string> silo = new("SILO") { Description = "The silo's name." };
        return Change(new Command("undrain", "Lets a silo hold experts again.") { silo }, mayTellOnly, parsed => new PlacementChange { Undrain = new Undrain { Silo = parsed.GetValue(silo)! } });
    }

    private Command Rebalance(bool mayTellOnly) =>
        Change(new Command("rebalance", "Plans anew now, and moves whatever makes a layer faster, by however little."), mayTellOnly, _ => new PlacementChange { Rebalance = new Rebalance() });

    private Command Change(Command command, bool mayTellOnly, Func<ParseResult, PlacementChange> make, Func<ParseResult, IClusterConnection, CancellationToken, Task<int>>? then = null)
    {
        Option<bool> whatIf = new("--what-if") { Description = "Only tells what it would do." };
        if (mayTellOnly)
            command.Add(whatIf);
        command.SetAction(cluster.Action(async (parsed, connection, cancellation) =>
        {
            ChangeRequest request = new() { Changes = { make(parsed) }, WhatIf = !mayTellOnly || parsed.GetValue(whatIf) };
            ChangeResponse response = await connection.AskAsync((client, options) => client.ChangeAsync(request, options), cancellation, isChange: !request.WhatIf);
            cluster.Write(parsed, response, (printer, message) => printer.Print(message));
            return request.WhatIf ? (response.Staying > 0 ? Failed : 0) : then is null ? 0 : await then(parsed, connection, cancellation);
        }));
        return command;
    }

    private static (Argument<int> Layer, Argument<int> Expert) OptionalExpert()
    {
        (Argument<int> layer, Argument<int> expert) = ExpertArguments();
        (layer.Arity, expert.Arity) = (ArgumentArity.ZeroOrOne, ArgumentArity.ZeroOrOne);
        return (layer, expert);
    }

    private static Argument<int> Number(string name, string description)
    {
        Argument<int> argument = new(name) { Description = description };
        argument.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && int.TryParse(text, out int value) && value < 0)
                result.AddError($"{name} {text}: a number from 0 is expected.");
        });
        return argument;
    }
}
