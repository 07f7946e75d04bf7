using System.Text.Json;

namespace K2Cluster.Text.Tokenization;

/// <summary>
/// The names of the 256 slots above the ranks: from tokenizer_config.json where it lists them, else from K2's published table
/// (which puts &lt;think&gt; in slots that older configurations do not list), else &lt;|reserved_token_{id}|&gt;.
/// </summary>
internal static class SpecialTokenTable
{
    public const string FileName = "tokenizer_config.json";
    public const int Slots = 256;

    private const string Key = "added_tokens_decoder";

    private static readonly Dictionary<int, string> PublishedSlots = new()
    {
        [0] = "[BOS]",
        [1] = "[EOS]",
        [2] = "<|im_end|>",
        [3] = "<|im_user|>",
        [4] = "<|im_assistant|>",
        [6] = "<|start_header_id|>",
        [7] = "<|end_header_id|>",
        [9] = "[EOT]",
        [10] = "<|im_system|>",
        [11] = "<|tool_calls_section_begin|>",
        [12] = "<|tool_calls_section_end|>",
        [13] = "<|tool_call_begin|>",
        [14] = "<|tool_call_argument_begin|>",
        [15] = "<|tool_call_end|>",
        [17] = "<|im_middle|>",
        [18] = "<|media_begin|>",
        [19] = "<|media_content|>",
        [20] = "<|media_end|>",
        [21] = "<|media_pad|>",
        [22] = "<think>",
        [23] = "</think>",
        [254] = "[UNK]",
        [255] = "[PAD]",
    };

    /// <param name="firstSlot">The id of slot 0: the number of ranks.</param>
    /// <param name="configuration">The text of tokenizer_config.json in UTF-8; null when there is none.</param>
    /// <exception cref="TokenizerException">The configuration is not JSON or gives a name twice, an empty one, or one to an ordinary token.</exception>
    public static string[] Names(int firstSlot, byte[]? configuration)
    {
        var names = new string?[Slots];
        HashSet<string> taken = [];
        if (configuration is not null)
            ReadListed(configuration, firstSlot, names, taken);

        for (int slot = 0; slot < Slots; slot++)
        {
            if (names[slot] is null && PublishedSlots.TryGetValue(slot, out string? published) && taken.Add(published))
                names[slot] = published;
        }

        for (int slot = 0; slot < Slots; slot++)
        {
            string reserved = $"<|reserved_token_{firstSlot + slot}|>";
            if (names[slot] is null && !taken.Add(reserved))
                throw Malformed($"\"{reserved}\" names another id than {firstSlot + slot}");
            names[slot] ??= reserved;
        }

        return names!;
    }

    private static void ReadListed(byte[] text, int firstSlot, string?[] names, HashSet<string> taken)
    {
        using JsonDocument document = Parse(text);
        if (document.RootElement.ValueKind != JsonValueKind.Object)
            throw Malformed("the root is not an object");
        if (!document.RootElement.TryGetProperty(Key, out JsonElement listed) || listed.ValueKind == JsonValueKind.Null)
            return;
        if (listed.ValueKind != JsonValueKind.Object)
            throw Malformed($"{Key} is not an object");

        foreach (JsonProperty entry in listed.EnumerateObject())
        {
            if (!int.TryParse(entry.Name, out int id))
                throw Malformed($"{Key} has the key \"{entry.Name}\", which is not an id");
            if (id < firstSlot)
                throw Malformed($"{Key} names id {id}, which {TiktokenFile.Name} gives to an ordinary token (it has {firstSlot}): the two files do not belong together");

            // Older configurations reserve a few ids more than the model has rows for; the published tokenizer ignores them too.
            if (id - firstSlot >= Slots)
                continue;

            string name = Content(id, entry.Value);
            if (names[id - firstSlot] is not null || !taken.Add(name))
                throw Malformed($"{Key} gives id {id} or the name \"{name}\" twice");
            names[id - firstSlot] = name;
        }
    }

    private static JsonDocument Parse(byte[] text)
    {
        try
        {
            return JsonDocument.Parse(text);
        }
        catch (JsonException problem)
        {
            throw new TokenizerException($"{FileName} is not JSON: {problem.Message}", problem);
        }
    }

    private static string Content(int id, JsonElement entry)
    {
        try
        {
            if (entry.ValueKind == JsonValueKind.Object && entry.TryGetProperty("content", out JsonElement content)
                && content.ValueKind == JsonValueKind.String && content.GetString() is { Length: > 0 } name)
                return name;
        }
        catch (InvalidOperationException)
        {
            // The string escapes half a surrogate pair.
        }

        throw Malformed($"{Key}.{id} has no \"content\" text");
    }

    private static TokenizerException Malformed(string problem) => new($"{FileName}: {problem}.");
}
