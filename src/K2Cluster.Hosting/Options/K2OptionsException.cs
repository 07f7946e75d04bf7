namespace K2Cluster.Hosting;

/// <summary>An option that cannot be used as written. The message names the option, its value and what is allowed; the process ends with code 2.</summary>
public sealed class K2OptionsException(string message) : Exception(message);
