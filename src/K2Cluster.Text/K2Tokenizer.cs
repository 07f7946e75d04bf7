namespace K2Cluster.Text;

/// <summary>K2's byte-pair tokenizer over a tiktoken vocabulary. Immutable and safe to share.</summary>
public sealed class K2Tokenizer
{
    /// <summary>Reads tiktoken.model and tokenizer_config.json of a checkpoint directory; null when it has no tokenizer.</summary>
    /// <exception cref="TokenizerException">A file is malformed; the message names it and the line or key.</exception>
    public static K2Tokenizer? TryLoad(string directory) => throw new NotSupportedException();

    /// <summary>Number of ids, special tokens included.</summary>
    public int VocabularySize => throw new NotSupportedException();

    public SpecialTokens Special => throw new NotSupportedException();

    /// <summary>Encodes text; special-token strings become control tokens only when <paramref name="parseSpecial"/> is set.</summary>
    public List<int> Encode(string text, bool parseSpecial) => throw new NotSupportedException();

    /// <summary>The bytes that a token stands for: of a special token its name; empty for an id that has none.</summary>
    public ReadOnlySpan<byte> Bytes(int id) => throw new NotSupportedException();

    /// <summary>The text of ids; malformed UTF-8 becomes U+FFFD.</summary>
    public string Decode(IEnumerable<int> ids) => throw new NotSupportedException();

    public bool IsSpecial(int id) => throw new NotSupportedException();
}
