namespace K2Cluster.Hosting;

/// <summary>A failure whose message tells an operator all there is to know: shown without type or stack; the process ends with code 1.</summary>
public sealed class K2FailureException(string message, Exception? inner = null) : Exception(message, inner);
