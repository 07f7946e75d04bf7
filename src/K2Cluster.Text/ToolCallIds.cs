namespace K2Cluster.Text;

/// <summary>
/// Clients send calls back under ids of their own; the model knows functions.{name}:{index}, counted over the whole conversation.
/// </summary>
public static class ToolCallIds
{
    /// <summary>Renames every call and every result that answers it.</summary>
    public static IReadOnlyList<ChatMessage> Normalise(IReadOnlyList<ChatMessage> messages) => throw new NotSupportedException();
}
