using System.Text.RegularExpressions;

namespace K2Cluster.Checkpoint;

/// <summary>
/// compressed-tensors <c>pack-quantized</c> INT4: symmetric, in groups of <see cref="GroupSize"/> along the input, a BF16
/// scale each. Applies to every linear module that <c>ignore</c> does not name.
/// </summary>
public sealed class QuantizationConfig
{
    /// <summary>Weights that share a scale.</summary>
    public const int GroupSize = 32;

    /// <summary>Weights in one I32 word, the first in the low bits, each stored plus 8.</summary>
    public const int WeightsPerWord = 8;

    private const int MaxPatternLength = 1024;

    /// <summary>Of a match that may take for ever. Far more than one takes whose thread waits for a busy machine.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly TimeSpan _patience;
    private readonly HashSet<string> _names = [];
    private readonly List<Regex> _patterns = [];

    /// <param name="file">The file that states it, for messages.</param>
    /// <param name="ignore">Modules that stay BF16: a full name, or <c>re:</c> and a pattern that matches from a name's start.</param>
    /// <exception cref="CheckpointException">A pattern is not a regular expression, or too long.</exception>
    public QuantizationConfig(string file, IEnumerable<string> ignore)
        : this(file, ignore, Patience)
    {
    }

    internal QuantizationConfig(string file, IEnumerable<string> ignore, TimeSpan patience)
    {
        (File, _patience) = (file, patience);
        Ignored = [.. ignore];
        foreach (string entry in Ignored)
        {
            if (!entry.StartsWith("re:", StringComparison.Ordinal))
                _names.Add(entry);
            else
                _patterns.Add(Compile(entry[3..]));
        }
    }

    /// <summary>The file that states it, for messages.</summary>
    internal string File { get; }

    /// <summary>The entries as stated.</summary>
    internal IReadOnlyList<string> Ignored { get; }

    /// <summary>Whether the weights of a linear module (a name without <c>.weight</c>) are INT4.</summary>
    /// <exception cref="CheckpointException">A pattern took too long.</exception>
    public bool Quantizes(string module)
    {
        if (_names.Contains(module))
            return false;
        foreach (Regex pattern in _patterns)
        {
            try
            {
                if (pattern.IsMatch(module))
                    return false;
            }
            catch (RegexMatchTimeoutException failure)
            {
                throw new CheckpointException($"{File}: a pattern of quantization_config.ignore took longer than {_patience.TotalSeconds} s on {module}: {Printable.Of(failure.Pattern)}", failure);
            }
        }

        return true;
    }

    private Regex Compile(string pattern)
    {
        if (pattern.Length > MaxPatternLength)
            throw new CheckpointException($"{File}: a pattern of quantization_config.ignore has {pattern.Length:N0} characters; at most {MaxPatternLength} are sensible.");
        string fromStart = $@"\A(?:{pattern})";
        try
        {
            // Takes a time that only grows with the name's length, so it needs no clock.
            return new Regex(fromStart, RegexOptions.CultureInvariant | RegexOptions.NonBacktracking);
        }
        catch (NotSupportedException)
        {
            // It looks ahead or behind, or refers back.
            return new Regex(fromStart, RegexOptions.CultureInvariant, _patience);
        }
        catch (ArgumentException failure)
        {
            throw new CheckpointException($"{File}: quantization_config.ignore: {Printable.Of(failure.Message)}", failure);
        }
    }
}
