using System.Text.Json;
using System.Text.Unicode;

namespace K2Cluster.Checkpoint;

/// <summary>An object of a JSON file whose values are asked for by key; each failure names the file and the full key.</summary>
internal sealed class JsonSection
{
    private const int MaxDepth = 32;

    private readonly JsonElement _element;
    private readonly string _path;

    private JsonSection(string file, string path, JsonElement element)
    {
        File = file;
        _path = path;
        _element = element;
    }

    public string File { get; }

    /// <summary>Reads a file whose root is an object, with no key twice.</summary>
    public static JsonSection ReadFile(string file, int limit) => Parse(file, CheckpointFile.ReadAll(file, limit));

    /// <param name="file">What messages call it.</param>
    /// <param name="content">An object, with no key twice.</param>
    public static JsonSection Parse(string file, byte[] content)
    {
        if (!Utf8.IsValid(content))
            throw new CheckpointException($"{file}: is not UTF-8 text.");
        try
        {
            using JsonDocument document = JsonDocument.Parse(content, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
                throw new CheckpointException($"{file}: holds {Describe(document.RootElement)} where an object is expected.");
            return new JsonSection(file, "", document.RootElement.Clone());
        }
        catch (JsonException failure)
        {
            throw new CheckpointException($"{file}: not valid JSON: {Printable.Of(failure.Message)}", failure);
        }
        catch (InvalidOperationException failure)
        {
            // What comparing keys says of half a surrogate pair.
            throw new CheckpointException($"{file}: holds invalid text: {Printable.Of(failure.Message)}", failure);
        }
    }

    /// <summary>Whether the key is there and not null.</summary>
    public bool Has(string key) => _element.TryGetProperty(key, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    public JsonSection Section(string key)
    {
        JsonElement value = Required(key);
        return value.ValueKind == JsonValueKind.Object ? new JsonSection(File, KeyOf(key), value) : throw Wrong(key, "an object");
    }

    public JsonSection? OptionalSection(string key) => Has(key) ? Section(key) : null;

    /// <summary>The only section inside this one, whatever its key.</summary>
    public JsonSection OnlySection()
    {
        JsonElement[] values = [.. _element.EnumerateObject().Select(property => property.Value)];
        if (values is not [{ ValueKind: JsonValueKind.Object }])
            throw new CheckpointException($"{File}: {_path} has {values.Length} entries; exactly one, an object, is supported.");
        return new JsonSection(File, $"{_path}.*", values[0]);
    }

    public int Int(string key, int min, int max)
    {
        JsonElement value = Required(key);
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out int number) || number < min || number > max)
            throw Wrong(key, $"a whole number from {min} to {max}");
        return number;
    }

    public int? OptionalInt(string key, int min, int max) => Has(key) ? Int(key, min, max) : null;

    public double Number(string key, double min, double max)
    {
        JsonElement value = Required(key);
        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number) || !(number >= min && number <= max))
            throw Wrong(key, $"a number from {min} to {max}");
        return number;
    }

    public double? OptionalNumber(string key, double min, double max) => Has(key) ? Number(key, min, max) : null;

    public bool Flag(string key)
    {
        JsonElement value = Required(key);
        return value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(key, "true or false");
    }

    public string Text(string key)
    {
        JsonElement value = Required(key);
        return value.ValueKind == JsonValueKind.String ? AsText(key, value) : throw Wrong(key, "a string");
    }

    /// <summary>A list of at most <paramref name="longest"/> strings.</summary>
    public string[] Texts(string key, int longest)
    {
        JsonElement value = Required(key);
        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > longest)
            throw Wrong(key, $"a list of at most {longest} strings");
        return [.. value.EnumerateArray().Select(item => item.ValueKind == JsonValueKind.String ? AsText(key, item) : throw Wrong(key, "a list of strings"))];
    }

    /// <summary>One whole number or a list of them, none outside the range.</summary>
    public int[] Ints(string key, int longest, int min, int max)
    {
        JsonElement value = Required(key);
        if (value.ValueKind != JsonValueKind.Array)
            return [Int(key, min, max)];
        if (value.GetArrayLength() is int count && (count == 0 || count > longest))
            throw Wrong(key, $"a whole number or a list of 1 to {longest}");
        return [.. value.EnumerateArray().Select(item =>
            item.ValueKind == JsonValueKind.Number && item.TryGetInt32(out int number) && number >= min && number <= max
                ? number
                : throw Wrong(key, $"whole numbers from {min} to {max}"))];
    }

    /// <summary>Requires that the key, where it is stated, has the only value that is supported.</summary>
    public void Supports(string key, string only, bool required)
    {
        if (!required && !Has(key))
            return;
        if (Required(key) is var value && Show(value) != only)
            throw Refused(key, $"only {only} is supported");
    }

    /// <summary>An error about a key whose value is well formed but not acceptable.</summary>
    public CheckpointException Refused(string key, string reason) =>
        new($"{File}: {KeyOf(key)} is {(_element.TryGetProperty(key, out JsonElement value) ? Describe(value) : "missing")}: {reason}.");

    private JsonElement Required(string key) =>
        _element.TryGetProperty(key, out JsonElement value)
            ? value
            : throw new CheckpointException($"{File}: {KeyOf(key)} is missing; a published checkpoint states it.");

    private CheckpointException Wrong(string key, string expected) =>
        new($"{File}: {KeyOf(key)} is {Describe(_element.GetProperty(key))} where {expected} is expected.");

    private string AsText(string key, JsonElement value)
    {
        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException failure)
        {
            throw new CheckpointException($"{File}: {KeyOf(key)} is not valid text: {Printable.Of(failure.Message)}", failure);
        }
    }

    private string KeyOf(string key) => Printable.Of(_path.Length == 0 ? key : $"{_path}.{key}");

    private static string Show(JsonElement value)
    {
        string raw = value.GetRawText();
        return value.ValueKind == JsonValueKind.String ? raw.Trim('"') : raw;
    }

    private static string Describe(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "a list",
        _ => Printable.Of(value.GetRawText()),
    };
}
