using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Numerics;

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

    public static Option<int> Count(string name, string description, int fallback, int max)
    {
        Option<int> option = new(name) { Description = description, DefaultValueFactory = _ => fallback, HelpName = "N" };
        option.Validators.Add(result => CheckRange<int>(result, 1, max));
        return option;
    }

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
