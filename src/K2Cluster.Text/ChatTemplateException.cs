namespace K2Cluster.Text;

/// <summary>A conversation that cannot be rendered; the message says why to who sent it.</summary>
public sealed class ChatTemplateException(string message) : Exception(message);
