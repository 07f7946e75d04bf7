namespace K2Cluster.Text.Output;

public enum OutputKind
{
    Reasoning,
    Content,

    /// <summary>A tool call begins: Id and Name are set.</summary>
    ToolCall,

    /// <summary>More of the arguments of call Index, in Text.</summary>
    ToolArguments,
}

/// <summary>A piece of an assistant message, as it becomes certain.</summary>
/// <param name="Kind">Which part of the message.</param>
/// <param name="Text">The piece; never half a character, never part of a marker.</param>
/// <param name="Index">The call's index in the message.</param>
/// <param name="Id">The call's id, as the model wrote it or as it must be for the next turn: functions.name:n.</param>
/// <param name="Name">The function's name.</param>
public readonly record struct OutputDelta(OutputKind Kind, string Text, int Index = 0, string? Id = null, string? Name = null);
