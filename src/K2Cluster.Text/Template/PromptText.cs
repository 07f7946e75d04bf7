using System.Text;

namespace K2Cluster.Text.Template;

/// <summary>
/// A prompt as it is built: text, and where in it the template put control tokens. That alone decides what becomes one; what the
/// text says does not.
/// </summary>
internal sealed class PromptText
{
    private readonly StringBuilder _text = new();
    private readonly List<(int Position, string Name)> _controls = [];

    /// <summary>Where each control token's name begins in the text, in order.</summary>
    public IReadOnlyList<(int Position, string Name)> Controls => _controls;

    public PromptText Control(string name)
    {
        _controls.Add((_text.Length, name));
        _text.Append(name);
        return this;
    }

    public PromptText Plain(string? text)
    {
        _text.Append(text);
        return this;
    }

    /// <summary>For writers of longer plain text.</summary>
    public StringBuilder PlainText => _text;

    public override string ToString() => _text.ToString();
}
