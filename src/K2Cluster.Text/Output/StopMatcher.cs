namespace K2Cluster.Text.Output;

/// <summary>Finds stop strings in text that comes in pieces; holds back what may be the beginning of one.</summary>
public sealed class StopMatcher(IReadOnlyList<string> stops)
{
    /// <summary>Adds text and returns what is certain to stand before any stop string; after a match, nothing more.</summary>
    public string Append(string text) => throw new NotSupportedException(stops.ToString());

    /// <summary>The stop string that was found.</summary>
    public string? Matched => throw new NotSupportedException();

    /// <summary>Ends the text: returns what was held back.</summary>
    public string Flush() => throw new NotSupportedException();
}
