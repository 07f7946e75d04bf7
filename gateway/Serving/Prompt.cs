namespace K2Cluster.Gateway.Serving;

/// <summary>A raw prompt: text or ids.</summary>
/// <param name="Text">Set when it was given as text.</param>
/// <param name="Ids">Set when it was given as ids.</param>
/// <param name="Parameter">Where in the request it stands, for messages.</param>
internal readonly record struct Prompt(string? Text, int[]? Ids, string Parameter);
