using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Parsing;
using System.Diagnostics.CodeAnalysis;

namespace K2Cluster.Hosting;

/// <summary>The command line of a role: turns arguments into configuration values, answers --help and --version.</summary>
internal sealed class K2CommandLine
{
    private readonly RootCommand _root;
    private readonly List<(Option Option, K2OptionEntry Entry)> _options = [];

    public K2CommandLine(K2Role role)
    {
        _root = new RootCommand(Description(role));
        _root.Directives.Clear();
        foreach (K2OptionEntry entry in K2OptionTable.For(role))
        {
            Option option = OptionOf(entry);
            _options.Add((option, entry));
            _root.Options.Add(option);
        }

        _root.SetAction(_ => 0);
    }

    /// <summary>
    /// Reads the arguments into configuration values ("K2:Model"). False when there is nothing to run because help or version
    /// was asked for, and written to <paramref name="output"/>: then <paramref name="exitCode"/> is what to exit with.
    /// </summary>
    /// <exception cref="K2OptionsException">An argument is unknown, given twice or lacks its value.</exception>
    public bool TryRead(string[] args, TextWriter output, [NotNullWhen(true)] out Dictionary<string, string?>? values, out int exitCode)
    {
        // Response files would read @FILE: not something that an argument here should do.
        ParseResult parsed = _root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null, EnablePosixBundling = false });
        values = null;
        exitCode = 0;
        if (parsed.Action is HelpAction || (parsed.Errors.Count == 0 && parsed.Action != _root.Action))
        {
            exitCode = parsed.Invoke(new InvocationConfiguration { Output = output });
            return false;
        }

        // "[anything]" in front is a directive, and one that does not exist would be passed over in silence.
        if (parsed.Tokens.FirstOrDefault(token => token.Type == TokenType.Directive) is { } directive)
            throw new K2OptionsException($"Unrecognized command or argument '{directive.Value}'.");
        if (parsed.Errors.Count > 0)
            throw new K2OptionsException(parsed.Errors[0].Message);

        values = Values(parsed, _options);
        return true;
    }

    /// <summary>An entry of the table as an option.</summary>
    public static Option OptionOf(K2OptionEntry entry) => entry.Value is null
        ? new Option<bool>(entry.Name) { Description = entry.Help }
        : new Option<string>(entry.Name) { Description = entry.Help, HelpName = entry.Value };

    /// <summary>What was given, as configuration values.</summary>
    public static Dictionary<string, string?> Values(ParseResult parsed, IEnumerable<(Option Option, K2OptionEntry Entry)> options)
    {
        Dictionary<string, string?> values = [];
        foreach ((Option option, K2OptionEntry entry) in options)
        {
            if (parsed.GetResult(option) is { Implicit: false } result)
                values[$"{K2OptionTable.Section}:{entry.Key}"] = entry.Value is null ? parsed.GetValue((Option<bool>)option) ? "true" : "false" : result.GetValueOrDefault<string>();
        }

        return values;
    }

    private static string Description(K2Role role) => role == K2Role.Gateway
        ? """
          K2Cluster gateway: serves a Kimi K2 model over HTTP (OpenAI's API) and gRPC.

          Without options it serves the bundled demo model, experts included, at http://127.0.0.1:8080.
          With --cluster localhost or redis the experts live in silos: start those too, in any order.
          Every option can also be set as an environment variable (K2__Model) or in appsettings.json ("K2": { "Model": … }).
          """
        : """
          K2Cluster silo: keeps experts of a Kimi K2 model in memory and computes them for the gateways of its cluster.

          Start any number, before or after the gateway, with the same --model and --cluster.
          Every option can also be set as an environment variable (K2__Model) or in appsettings.json ("K2": { "Model": … }).
          """;
}
