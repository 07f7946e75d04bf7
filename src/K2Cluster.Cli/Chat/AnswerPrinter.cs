namespace K2Cluster.Cli;

/// <summary>
/// Shows an answer as it comes. On a terminal reasoning is dimmed; elsewhere only the answer itself is written, as it is.
/// </summary>
/// <param name="output">Where to.</param>
/// <param name="isTerminal">Whether somebody reads along.</param>
/// <param name="ansi">Whether the terminal knows colours.</param>
internal sealed class AnswerPrinter(TextWriter output, bool isTerminal, bool ansi)
{
    private bool _dimmed;
    private bool _atLineStart = true;

    public void Reasoning(string text)
    {
        if (isTerminal)
            Write(text, dimmed: true);
    }

    public void Content(string text) => Write(text, dimmed: false);

    /// <summary>A remark of the tool's own.</summary>
    public void Note(string text)
    {
        if (!isTerminal)
            return;
        EndLine();
        Write(text + "\n", dimmed: true);
    }

    /// <summary>Ends the answer: with a new line, without a colour.</summary>
    public void End()
    {
        EndLine();
        SetDimmed(false);
        output.Flush();
    }

    private void EndLine()
    {
        if (!_atLineStart)
            output.Write('\n');
        _atLineStart = true;
    }

    private void Write(string text, bool dimmed)
    {
        if (text.Length == 0)
            return;
        if (dimmed != _dimmed)
            EndLine();
        SetDimmed(dimmed);
        output.Write(isTerminal ? TerminalText.Of(text) : text);
        _atLineStart = text[^1] == '\n';
        output.Flush();
    }

    private void SetDimmed(bool dimmed)
    {
        if (dimmed != _dimmed && ansi)
            output.Write(dimmed ? "\e[2m" : "\e[0m");
        _dimmed = dimmed;
    }
}
