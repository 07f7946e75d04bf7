namespace K2Cluster.Cli;

/// <summary>A command that could not do its work: the message is all that the user sees.</summary>
internal sealed class CommandException(string message) : Exception(message);
