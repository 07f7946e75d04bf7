using System.Globalization;

namespace K2Cluster.Text;

/// <summary>
/// Clients send calls back under ids of their own; the model knows functions.{name}:{index}, counted over the whole conversation.
/// </summary>
public static class ToolCallIds
{
    private const string Prefix = "functions.";

    /// <summary>
    /// Renames every call and every result that answers it. A result answers the first call of its id, in the latest message that
    /// has that id, that has no result yet; one that answers none keeps its id.
    /// </summary>
    public static IReadOnlyList<ChatMessage> Normalise(IReadOnlyList<ChatMessage> messages)
    {
        Dictionary<string, Renamed> latest = [];
        List<ChatMessage> normalised = new(messages.Count);
        int count = 0;
        foreach (ChatMessage message in messages)
        {
            if (message.ToolCalls.Count > 0)
                normalised.Add(message with { ToolCalls = Rename(message.ToolCalls, latest, ref count) });
            else if (message.ToolCallId is { } answered && latest.TryGetValue(answered, out Renamed? renamed))
                normalised.Add(message with { ToolCallId = renamed.NextUnanswered() });
            else
                normalised.Add(message);
        }

        return normalised;
    }

    /// <summary>The form that the model was trained on.</summary>
    internal static string Format(string name, long index) => $"{Prefix}{name}:{index}";

    /// <summary>
    /// Reads an id as the model writes it: functions.name:0, name:0, functions.name or name, where names have dots and hyphens.
    /// The name is empty when there is none.
    /// </summary>
    internal static (string Name, int? Index) Parse(string id)
    {
        ReadOnlySpan<char> name = id.AsSpan().Trim();
        if (name.StartsWith(Prefix, StringComparison.Ordinal))
            name = name[Prefix.Length..];

        int colon = name.LastIndexOf(':');
        if (colon >= 0 && int.TryParse(name[(colon + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int index))
            return (name[..colon].ToString(), index);

        return (name.TrimEnd(':').ToString(), null);
    }

    private static List<ChatToolCall> Rename(IReadOnlyList<ChatToolCall> calls, Dictionary<string, Renamed> latest, ref int count)
    {
        foreach (ChatToolCall call in calls)
            latest[call.Id] = new Renamed();

        List<ChatToolCall> renamed = new(calls.Count);
        foreach (ChatToolCall call in calls)
        {
            string id = Format(call.Name, count++);
            latest[call.Id].Add(id);
            renamed.Add(call with { Id = id });
        }

        return renamed;
    }

    private sealed class Renamed
    {
        private readonly List<string> _ids = [];
        private int _answered;

        public void Add(string id) => _ids.Add(id);

        public string NextUnanswered() => _ids[Math.Min(_answered++, _ids.Count - 1)];
    }
}
