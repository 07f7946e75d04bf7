namespace K2Cluster.Text;

/// <summary>Kimi K2 Thinking's chat template, by rule.</summary>
public static class ChatTemplate
{
    /// <summary>The text that the published Jinja template gives.</summary>
    public static string Render(ChatConversation conversation) => throw new NotSupportedException();

    /// <summary>The prompt's ids: control tokens only where the template puts one, everything else plain text.</summary>
    public static int[] Encode(ChatConversation conversation, K2Tokenizer tokenizer) => throw new NotSupportedException();
}
