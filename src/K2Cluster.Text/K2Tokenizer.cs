using System.Buffers;
using System.Text;
using K2Cluster.Text.Template;
using K2Cluster.Text.Tokenization;

namespace K2Cluster.Text;

/// <summary>K2's byte-pair tokenizer over a tiktoken vocabulary. Immutable and safe to share.</summary>
public sealed class K2Tokenizer
{
    private const long LargestFile = 64 << 20;

    private readonly Vocabulary _vocabulary;
    private readonly string[] _names;
    private readonly byte[][] _nameBytes;
    private readonly Dictionary<string, int> _ids;
    private readonly SearchValues<string> _anyName;

    // Names by length, longest first: at a position where one matches, the longest wins.
    private readonly string[] _longestFirst;

    private K2Tokenizer(Vocabulary vocabulary, string[] names)
    {
        _vocabulary = vocabulary;
        _names = names;
        _nameBytes = [.. names.Select(Encoding.UTF8.GetBytes)];
        _ids = names.Select((name, slot) => (name, slot)).ToDictionary(entry => entry.name, entry => vocabulary.Count + entry.slot);
        _anyName = SearchValues.Create(names, StringComparison.Ordinal);
        _longestFirst = [.. names.OrderByDescending(name => name.Length)];
        Special = SpecialTokens.Find(FindSpecial);
    }

    /// <summary>Reads tiktoken.model and tokenizer_config.json of a checkpoint directory; null when it has no tiktoken.model.</summary>
    /// <exception cref="TokenizerException">A file is malformed; the message names it and the line or key.</exception>
    public static K2Tokenizer? TryLoad(string directory)
    {
        byte[]? ranks = ReadFile(directory, TiktokenFile.Name);
        if (ranks is null)
            return null;

        Vocabulary vocabulary = TiktokenFile.Parse(ranks);
        byte[]? configuration = ReadFile(directory, SpecialTokenTable.FileName);
        return new K2Tokenizer(vocabulary, SpecialTokenTable.Names(vocabulary.Count, configuration));
    }

    /// <summary>Number of ids: the ranks of tiktoken.model and 256 slots for special tokens.</summary>
    public int VocabularySize => _vocabulary.Count + SpecialTokenTable.Slots;

    public SpecialTokens Special { get; }

    /// <summary>
    /// Encodes text, without adding anything; special-token strings become control tokens only when
    /// <paramref name="parseSpecial"/> is set, the longest first where several match. Unpaired surrogates are encoded as U+FFFD.
    /// Texts of more than 400,000 code points, or with runs of more than 25,000, are cut as the published tokenizer cuts them.
    /// </summary>
    public List<int> Encode(string text, bool parseSpecial)
    {
        List<int> ids = new(text.Length / 3 + 8);
        PieceEncoder pieces = new(_vocabulary);
        List<int> cuts = LongTextCuts.Find(text);
        cuts.Add(text.Length);
        int start = 0;
        foreach (int cut in cuts)
        {
            ReadOnlySpan<char> part = text.AsSpan(start..cut);
            if (parseSpecial)
                AppendParsed(part, pieces, ids);
            else
                pieces.Append(part, ids);
            start = cut;
        }

        return ids;
    }

    /// <summary>The bytes that a token stands for: of a special token its name; empty for an id that has none.</summary>
    public ReadOnlySpan<byte> Bytes(int id) =>
        (uint)id < (uint)_vocabulary.Count ? _vocabulary.Bytes(id)
        : IsSpecial(id) ? _nameBytes[id - _vocabulary.Count]
        : [];

    /// <summary>The text of ids; malformed UTF-8 becomes U+FFFD, and an id outside the vocabulary nothing.</summary>
    public string Decode(IEnumerable<int> ids)
    {
        ArrayBufferWriter<byte> bytes = new();
        foreach (int id in ids)
            bytes.Write(Bytes(id));

        return Encoding.UTF8.GetString(bytes.WrittenSpan);
    }

    /// <summary>Whether the id is one of the 256 special slots, named or reserved.</summary>
    public bool IsSpecial(int id) => id >= _vocabulary.Count && id < VocabularySize;

    /// <summary>The id of a special token by its published name, or -1. Some vocabularies write the tool section in the singular.</summary>
    internal int FindSpecial(string name) =>
        _ids.TryGetValue(name, out int id) ? id : _ids.GetValueOrDefault(name.Replace("tool_calls_section", "tool_call_section", StringComparison.Ordinal), -1);

    /// <summary>Encodes text whose control tokens are known by position, not by what it says.</summary>
    internal int[] Encode(PromptText prompt)
    {
        string text = prompt.ToString();
        List<int> ids = new(text.Length / 3 + 8);
        PieceEncoder pieces = new(_vocabulary);
        Queue<int> cuts = new(LongTextCuts.Find(text));
        int start = 0;
        foreach ((int position, string name) in prompt.Controls)
        {
            int id = FindSpecial(name);
            if (id < 0)
                continue;

            AppendPlain(text, start, position, cuts, pieces, ids);
            ids.Add(id);
            start = position + name.Length;
        }

        AppendPlain(text, start, text.Length, cuts, pieces, ids);
        return [.. ids];
    }

    private static void AppendPlain(string text, int start, int end, Queue<int> cuts, PieceEncoder pieces, List<int> ids)
    {
        while (cuts.TryPeek(out int cut) && cut < end)
        {
            cuts.Dequeue();
            if (cut > start)
            {
                pieces.Append(text.AsSpan(start..cut), ids);
                start = cut;
            }
        }

        pieces.Append(text.AsSpan(start..end), ids);
    }

    private void AppendParsed(ReadOnlySpan<char> text, PieceEncoder pieces, List<int> ids)
    {
        for (int start; (start = text.IndexOfAny(_anyName)) >= 0;)
        {
            pieces.Append(text[..start], ids);
            string name = LongestNameAt(text[start..]);
            ids.Add(_ids[name]);
            text = text[(start + name.Length)..];
        }

        pieces.Append(text, ids);
    }

    private string LongestNameAt(ReadOnlySpan<char> text)
    {
        foreach (string name in _longestFirst)
        {
            if (text.StartsWith(name, StringComparison.Ordinal))
                return name;
        }

        throw new InvalidOperationException("No special token begins here.");
    }

    private static byte[]? ReadFile(string directory, string name)
    {
        FileInfo file = new(Path.Combine(directory, name));
        if (!file.Exists)
            return null;
        if (file.Length > LargestFile)
            throw new TokenizerException($"{name} has {file.Length} bytes; at most {LargestFile} are read.");

        try
        {
            return File.ReadAllBytes(file.FullName);
        }
        catch (Exception problem) when (problem is IOException or UnauthorizedAccessException)
        {
            throw new TokenizerException($"{name} cannot be read: {problem.Message}", problem);
        }
    }
}
