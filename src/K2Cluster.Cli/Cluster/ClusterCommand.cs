using System.CommandLine;
using Google.Protobuf;
using Grpc.Core;
using K2Cluster.Hosting;
using K2Cluster.Protocol.V1;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 cluster …</c>: shows and changes where experts are, through any gateway of the cluster, or with --direct through a silo.</summary>
internal sealed class ClusterCommand
{
    private static readonly JsonFormatter Json = new(JsonFormatter.Settings.Default.WithFormatDefaultValues(true).WithPreserveProtoFieldNames(true).WithIndentation());

    private readonly Option<string> _url = CommandOptions.Addresses("--url", "A gateway's gRPC address; of several, the first that answers is asked.", "http://127.0.0.1:8081");
    private readonly Option<bool> _direct = new("--direct") { Description = "Asks a silo instead of a gateway, for when no gateway answers; on a host that reaches the silos.", Recursive = true };
    private readonly ClusterOptionSet _silos = new("(with --direct)");
    private readonly Option<bool> _json = new("--json") { Description = "The answer as JSON, for programs: the message of k2cluster.v1.Admin.", Recursive = true };
    private readonly IAnsiConsole _console;
    private readonly Func<Uri, Admin.AdminClient> _connect;
    private readonly ClusterPrinter _printer;

    private ClusterCommand(IAnsiConsole console, Func<Uri, Admin.AdminClient> connect)
    {
        (_console, _connect, _printer) = (console, connect, new ClusterPrinter(console));
        _url.Recursive = true;
        foreach (Option option in _silos.Options)
            option.Recursive = true;
    }

    public static Command Create(IAnsiConsole console, TextWriter error, Func<Uri, Admin.AdminClient> connect, TimeProvider time)
    {
        ClusterCommand cluster = new(console, connect);
        Command command = new("cluster", "Shows and changes where the experts of a running cluster are. No request fails or waits for it.")
        {
            cluster._url,
            cluster._direct,
            cluster._json,
            cluster.Status(),
            cluster.Plan(),
            cluster.Explain(),
            cluster.Wishes(),
        };
        foreach (Option option in cluster._silos.Options)
            command.Add(option);
        foreach (Command change in new ClusterChanges(cluster, error, time).Create(mayTellOnly: true))
            command.Add(change);
        Command whatIf = new("what-if", "Tells what one of the changes would do, and does nothing; as --what-if with it.");
        foreach (Command change in new ClusterChanges(cluster, error, time).Create(mayTellOnly: false))
            whatIf.Add(change);
        command.Add(whatIf);
        return command;
    }

    /// <summary>Runs until done or Ctrl-C.</summary>
    public Func<ParseResult, CancellationToken, Task<int>> Action(Func<ParseResult, IClusterConnection, CancellationToken, Task<int>> run) => async (parsed, _) =>
    {
        using Interrupt interrupt = new();
        int code = 0;
        try
        {
            await interrupt.RunAsync(async cancellation =>
            {
                await using IClusterConnection connection = await ConnectAsync(parsed, cancellation);
                code = await run(parsed, connection, cancellation);
            });
        }
        catch (Exception failure) when (failure is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            throw new CommandException("Stopped. What was asked for stays in force: k2 cluster status shows it.");
        }

        return code;
    };

    /// <summary>Writes an answer as it was asked for.</summary>
    public void Write<T>(ParseResult parsed, T message, Action<ClusterPrinter, T> print)
        where T : IMessage
    {
        if (parsed.GetValue(_json))
            _console.Profile.Out.Writer.WriteLine(Json.Format(message));
        else
            print(_printer, message);
    }

    private async Task<IClusterConnection> ConnectAsync(ParseResult parsed, CancellationToken cancellation)
    {
        if (parsed.GetValue(_direct))
        {
            return parsed.GetResult(_url) is { Implicit: false }
                ? throw new K2OptionsException("--direct asks silos, --url gateways: give one of the two.")
                : await DirectConnection.OpenAsync(_silos.Read(parsed, "k2"), cancellation);
        }

        return _silos.GivenIn(parsed).FirstOrDefault() is { } option
            ? throw new K2OptionsException($"{option} says how silos are found: it goes with --direct only.")
            : new GatewayConnection(CommandOptions.AddressesOf(parsed.GetValue(_url)!), _connect);
    }

    private Command Status()
    {
        Command command = new("status", "Silos and their shards, gateways, what is missing, what operators wish.");
        command.SetAction(Action(async (parsed, connection, cancellation) =>
        {
            ClusterStatus status = await connection.AskAsync((client, options) => client.GetStatusAsync(new GetStatusRequest(), options), cancellation);
            Write(parsed, status, (printer, message) => printer.Print(message));
            return 0;
        }));
        return command;
    }

    private Command Plan()
    {
        Option<int?> layer = CommandOptions.Number("--layer", "Every expert of this layer, instead of a line for each layer.", 0, int.MaxValue);
        Command command = new("plan", "Which shards are asked for which experts.") { layer };
        command.SetAction(Action(async (parsed, connection, cancellation) =>
        {
            GetPlanRequest request = new();
            if (parsed.GetValue(layer) is { } number)
                request.Layer = (uint)number;
            ClusterPlan plan = await connection.AskAsync((client, options) => client.GetPlanAsync(request, options), cancellation);
            Write(parsed, plan, (printer, message) => printer.Print(message, everyExpert: request.HasLayer));
            return 0;
        }));
        return command;
    }

    private Command Wishes()
    {
        Command command = new("wishes", "What operators asked for and have not taken back, each with the command that takes it back.");
        command.SetAction(Action(async (parsed, connection, cancellation) =>
        {
            ClusterStatus status = await connection.AskAsync((client, options) => client.GetStatusAsync(new GetStatusRequest(), options), cancellation);
            Write(parsed, status.Wishes, (printer, wishes) => printer.Print(status, wishes));
            return 0;
        }));
        return command;
    }

    private Command Explain()
    {
        (Argument<int> layer, Argument<int> expert) = ClusterChanges.ExpertArguments();
        Command command = new("explain", "Where an expert is, where it is to be, and why.") { layer, expert };
        command.SetAction(Action(async (parsed, connection, cancellation) =>
        {
            ExplainRequest request = new() { Layer = (uint)parsed.GetValue(layer), Expert = (uint)parsed.GetValue(expert) };
            Explanation explanation = await connection.AskAsync((client, options) => client.ExplainAsync(request, options), cancellation);
            Write(parsed, explanation, (printer, message) => printer.Print(message));
            return 0;
        }));
        return command;
    }
}
