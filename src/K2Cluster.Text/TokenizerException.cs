namespace K2Cluster.Text;

/// <summary>A vocabulary or tokenizer configuration that cannot be used.</summary>
public sealed class TokenizerException(string message, Exception? inner = null) : Exception(message, inner);
