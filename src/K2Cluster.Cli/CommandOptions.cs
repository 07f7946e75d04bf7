using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;
using K2Cluster.Kernels.Devices.Cpu;

namespace K2Cluster.Cli;

/// <summary>Options with a range: a value outside it is wrong usage, said before anything runs.</summary>
internal static class CommandOptions
{
    public static Option<Uri> Address(string name, string description, string fallback)
    {
        return new Option<Uri>(name)
        {
            Description = description,
            DefaultValueFactory = _ => new Uri(fallback),
            HelpName = "URL",
            CustomParser = result =>
            {
                if (Uri.TryCreate(result.Tokens[0].Value, UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https")
                    return address;
                result.AddError($"{name} {result.Tokens[0].Value}: an address like {fallback} is expected.");
                return null;
            },
        };
    }

    /// <summary>Addresses with commas between them, for <see cref="AddressesOf"/>.</summary>
    public static Option<string> Addresses(string name, string description, string fallback)
    {
        Option<string> option = new(name) { Description = description, HelpName = "URL,URL,…", DefaultValueFactory = _ => fallback };
        option.Validators.Add(result =>
        {
            if (result.Tokens is [{ Value: var text }] && !text.Split(',').All(part => Uri.TryCreate(part, UriKind.Absolute, out Uri? address) && address.Scheme is "http" or "https"))
                result.AddError($"{name} {TerminalText.Of(text)}: addresses like {fallback} are expected, with commas between them.");
        });
        return option;
    }

    public static Uri[] AddressesOf(string text) => [.. text.Split(',').Select(part => new Uri(part))];

    public static Option<int> Count(string name, string description, int fallback, int max)
    {
        Option<int> option = new(name) { Description = description, DefaultValueFactory = _ => fallback, HelpName = "N" };
        option.Validators.Add(result => CheckRange<int>(result, 1, max));
        return option;
    }

    /// <summary>Whole numbers from 1 up, with commas between them, for <see cref="CountsOf"/>: help prints an array's default with bars.</summary>
    public static Option<string> Counts(string name, string description, string fallback, int max)
    {
        const int Most = 32;
        Option<string> option = new(name) { Description = description, HelpName = "N,N,…", DefaultValueFactory = _ => fallback };
        option.Validators.Add(result =>
        {
            if (result.Tokens is not [{ Value: var text }])
                return;
            string[] counts = text.Split(',');
            if (counts.Length > Most || !counts.All(count => int.TryParse(count, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= 1 && value <= max))
                result.AddError($"{name} {TerminalText.Of(text)}: at most {Most} whole numbers from 1 to {max} are expected, as in {fallback}.");
        });
        return option;
    }

    public static int[] CountsOf(string text) => [.. text.Split(',').Select(count => int.Parse(count, CultureInfo.InvariantCulture))];

    /// <summary>int16 or int8, for <see cref="ActivationsOf"/>.</summary>
    public static Option<string> Activations()
    {
        Option<string> option = new("--cpu-activations") { Description = "What INT4 experts are multiplied with.", DefaultValueFactory = _ => "int16" };
        option.AcceptOnlyFromAmong("int16", "int8");
        return option;
    }

    public static CpuActivations ActivationsOf(string name) => name == "int8" ? CpuActivations.Bits8 : CpuActivations.Bits16;

    public static Option<string?> JsonFile() => new("--json") { Description = "A file to write the result to, with all that it depends on.", HelpName = "FILE" };

    public static Option<T?> Number<T>(string name, string description, T min, T max)
        where T : struct, INumber<T>
    {
        Option<T?> option = new(name) { Description = description, HelpName = "N" };
        option.Validators.Add(result => CheckRange(result, min, max));
        return option;
    }

    private static void CheckRange<T>(OptionResult result, T min, T max)
        where T : struct, INumber<T>
    {
        // What is not a number at all, the parser refuses itself.
        if (result.Tokens is not [{ Value: var text }] || !T.TryParse(text, CultureInfo.InvariantCulture, out T value))
            return;
        if (!(value >= min && value <= max))
            result.AddError($"{result.Option.Name} {text}: a value from {min} to {max} is expected.");
    }
}
