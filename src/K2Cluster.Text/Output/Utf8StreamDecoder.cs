namespace K2Cluster.Text.Output;

/// <summary>Decodes UTF-8 that comes in pieces; never gives half a character.</summary>
public sealed class Utf8StreamDecoder
{
    /// <summary>Adds bytes and returns the characters that are complete; malformed bytes become U+FFFD as in <see cref="System.Text.Encoding.UTF8"/>.</summary>
    public string Append(ReadOnlySpan<byte> bytes) => throw new NotSupportedException();

    /// <summary>Ends the text: an incomplete tail becomes U+FFFD.</summary>
    public string Flush() => throw new NotSupportedException();
}
