using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>
/// Reads a JSON object field by field, with errors that name the field by its path. Null is the same as absent.
/// Fields that nobody reads are ignored, as OpenAI does.
/// </summary>
/// <param name="element">The object.</param>
/// <param name="path">Its path in the body; empty for the body itself.</param>
internal readonly struct JsonFields(JsonElement element, string path)
{
    private const long LargestExact = 1L << 53;

    public JsonElement Element { get; } = element;

    /// <summary>The fields of an element that must be an object.</summary>
    public static JsonFields Of(JsonElement element, string path) =>
        element.ValueKind == JsonValueKind.Object ? new JsonFields(element, path) : throw Mismatch(path, "an object", element);

    public static string StringOf(JsonElement element, string path) =>
        element.ValueKind == JsonValueKind.String ? element.GetString()! : throw Mismatch(path, "a string", element);

    public static RequestException Mismatch(string path, string expected, JsonElement got) =>
        RequestException.Invalid(path, $"'{path}' must be {expected}, not {Named(got)}.");

    public string Path(string name) => path.Length == 0 ? name : $"{path}.{name}";

    public JsonElement? Any(string name) =>
        Element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public JsonElement Required(string name) => Any(name) ?? throw RequestException.Invalid(Path(name), $"'{Path(name)}' is required.", "missing_required_parameter");

    public string? String(string name) => Any(name) is { } value ? StringOf(value, Path(name)) : null;

    public string RequiredString(string name) => StringOf(Required(name), Path(name));

    public bool? Boolean(string name) => Any(name) switch
    {
        null => null,
        { ValueKind: JsonValueKind.True } => true,
        { ValueKind: JsonValueKind.False } => false,
        { } other => throw Mismatch(Path(name), "true or false", other),
    };

    public long? Integer(string name, long least, long most)
    {
        if (Any(name) is not { } value)
            return null;
        long number = IntegerOf(value, Path(name));
        return number >= least && number <= most ? number
            : throw RequestException.Invalid(Path(name), $"'{Path(name)}' is {number}; it must be {least} to {most}.");
    }

    /// <summary>An integer; also written with an exponent or a fraction of zero, as some clients' JSON has it.</summary>
    public static long IntegerOf(JsonElement value, string path)
    {
        if (value.ValueKind != JsonValueKind.Number)
            throw Mismatch(path, "an integer", value);
        if (value.TryGetInt64(out long number))
            return number;
        if (value.TryGetDouble(out double real) && double.IsInteger(real) && Math.Abs(real) <= LargestExact)
            return (long)real;
        throw RequestException.Invalid(path, $"'{path}' is {Excerpt.Of(value.GetRawText())}; it must be an integer of 64 bits.");
    }

    public double? Number(string name)
    {
        if (Any(name) is not { } value)
            return null;
        if (value.ValueKind != JsonValueKind.Number)
            throw Mismatch(Path(name), "a number", value);
        return value.TryGetDouble(out double number) && double.IsFinite(number) ? number
            : throw RequestException.Invalid(Path(name), $"'{Path(name)}' is {Excerpt.Of(value.GetRawText())}, which is out of range.");
    }

    /// <summary>The items of an array with their paths; none when it is absent.</summary>
    public IEnumerable<(JsonElement Item, string Path)> Items(string name) => Any(name) is { } value ? ItemsOf(value, Path(name)) : [];

    public static IEnumerable<(JsonElement Item, string Path)> ItemsOf(JsonElement array, string path) =>
        array.ValueKind == JsonValueKind.Array ? array.EnumerateArray().Select((item, index) => (item, $"{path}[{index}]")) : throw Mismatch(path, "an array", array);

    private static string Named(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => "a string",
        JsonValueKind.Number => "a number",
        JsonValueKind.True or JsonValueKind.False => "a boolean",
        _ => "null",
    };
}
