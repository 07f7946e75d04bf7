using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace K2Cluster.Text.Template;

/// <summary>
/// JSON as Python's json.loads and json.dumps(ensure_ascii=False) would give it back: the template was trained with that text.
/// Of equal keys the last value wins at the first one's place; whole numbers keep their digits; others become the shortest
/// text of the double. Reads the raw text, so that a string that escapes half a surrogate pair does not throw.
/// </summary>
internal static class PythonJson
{
    /// <summary>Deepest nesting that is rendered. Recursion follows it, so it is what keeps hostile JSON off the end of the stack.</summary>
    public const int MaxDepth = 256;

    private readonly record struct Style(string Comma, string Colon, bool SortKeys);

    private static readonly Style Compact = new(",", ":", SortKeys: true);
    private static readonly Style Spaced = new(", ", ": ", SortKeys: false);

    /// <summary>The array of tool declarations: compact, keys sorted by code point at every level.</summary>
    public static void WriteTools(IReadOnlyList<JsonElement> tools, StringBuilder output)
    {
        output.Append('[');
        for (int index = 0; index < tools.Count; index++)
        {
            if (index > 0)
                output.Append(Compact.Comma);
            Write(tools[index], Compact, depth: 2, output);
        }

        output.Append(']');
    }

    /// <summary>Arguments given as JSON rather than as text: ", " and ": ", keys in their order.</summary>
    public static void WriteArguments(JsonElement arguments, StringBuilder output) => Write(arguments, Spaced, depth: 1, output);

    /// <summary>What a JSON string says.</summary>
    public static string Text(JsonElement element)
    {
        ReadOnlySpan<byte> quoted = JsonMarshal.GetRawUtf8Value(element);
        return JsonString.Unescape(quoted[1..^1]);
    }

    private static void Write(JsonElement element, Style style, int depth, StringBuilder output)
    {
        if (depth > MaxDepth && element.ValueKind is JsonValueKind.Object or JsonValueKind.Array)
            throw new ChatTemplateException($"JSON in tools or arguments is nested more than {MaxDepth} levels deep. Declare a flatter schema or send the arguments as text.");

        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                WriteObject(element, style, depth, output);
                break;
            case JsonValueKind.Array:
                WriteArray(element, style, depth, output);
                break;
            case JsonValueKind.String:
                JsonString.WriteQuoted(Text(element), output);
                break;
            case JsonValueKind.Number:
                output.Append(PythonNumber.Format(JsonMarshal.GetRawUtf8Value(element)));
                break;
            case JsonValueKind.True:
                output.Append("true");
                break;
            case JsonValueKind.False:
                output.Append("false");
                break;
            default:
                output.Append("null");
                break;
        }
    }

    private static void WriteArray(JsonElement array, Style style, int depth, StringBuilder output)
    {
        output.Append('[');
        bool first = true;
        foreach (JsonElement item in array.EnumerateArray())
        {
            if (!first)
                output.Append(style.Comma);
            first = false;
            Write(item, style, depth + 1, output);
        }

        output.Append(']');
    }

    private static void WriteObject(JsonElement element, Style style, int depth, StringBuilder output)
    {
        OrderedDictionary<string, JsonElement> members = [];
        foreach (JsonProperty member in element.EnumerateObject())
            members[JsonString.Unescape(JsonMarshal.GetRawUtf8PropertyName(member))] = member.Value;

        IEnumerable<KeyValuePair<string, JsonElement>> ordered = members;
        if (style.SortKeys)
            ordered = members.OrderBy(member => member.Key, CodePointOrder.Instance);

        output.Append('{');
        bool first = true;
        foreach ((string name, JsonElement value) in ordered)
        {
            if (!first)
                output.Append(style.Comma);
            first = false;
            JsonString.WriteQuoted(name, output);
            output.Append(style.Colon);
            Write(value, style, depth + 1, output);
        }

        output.Append('}');
    }
}
