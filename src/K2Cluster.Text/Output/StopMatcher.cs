namespace K2Cluster.Text.Output;

/// <summary>
/// Finds stop strings in text that comes in pieces; holds back what may be the beginning of one. The match that is complete first
/// wins, as the generation ends there; of several complete at once, the longest. So the outcome does not depend on the pieces.
/// </summary>
/// <param name="stops">The stop strings; empty ones are ignored. Cost grows with their number, so bound it; their lengths cost nothing.</param>
public sealed class StopMatcher(IReadOnlyList<string> stops)
{
    private readonly Candidate[] _candidates = [.. stops.Where(stop => stop.Length > 0).Select(stop => new Candidate(stop))];

    // The text held back is the beginning of a stop string, so it need not be kept: only of which one, and how much.
    private string _heldStop = "";
    private int _held;

    /// <summary>The stop string that was found.</summary>
    public string? Matched { get; private set; }

    /// <summary>Adds text and returns what is certain to stand before any stop string; after a match, nothing more.</summary>
    /// <param name="text">The next piece.</param>
    /// <param name="mayMatch">Whether a stop string that is complete within this piece counts; one that is only begun may count later.</param>
    public string Append(string text, bool mayMatch = true)
    {
        if (Matched is not null)
            return "";
        if (_candidates.Length == 0)
            return text;

        for (int index = 0; index < text.Length; index++)
        {
            foreach (Candidate candidate in _candidates)
            {
                if (!candidate.Advance(text[index]))
                    continue;
                if (!mayMatch)
                    candidate.Pass();
                else if (candidate.Stop.Length > (Matched?.Length ?? 0))
                    Matched = candidate.Stop;
            }

            if (Matched is not null)
                return Release(text, _held + index + 1 - Matched.Length, "", 0);
        }

        Candidate longest = _candidates.MaxBy(candidate => candidate.Progress)!;
        return Release(text, _held + text.Length - longest.Progress, longest.Stop, longest.Progress);
    }

    /// <summary>Ends the text: returns what was held back.</summary>
    public string Flush()
    {
        foreach (Candidate candidate in _candidates)
            candidate.Reset();

        return Release("", _held, "", 0);
    }

    // The first characters of what was held and the text after it; the rest is held from now on.
    private string Release(string text, int count, string heldStop, int held)
    {
        string released = count <= _held ? _heldStop[..count] : string.Concat(_heldStop.AsSpan(0, _held), text.AsSpan(0, count - _held));
        (_heldStop, _held) = (heldStop, held);
        return released;
    }

    /// <summary>How much of one stop string the text ends with (Knuth, Morris and Pratt: constant time a character on average).</summary>
    private sealed class Candidate(string stop)
    {
        private readonly int[] _borders = Borders(stop);

        public string Stop => stop;

        public int Progress { get; private set; }

        public void Reset() => Progress = 0;

        /// <summary>Goes on after a match: its end may be the beginning of another.</summary>
        public void Pass() => Progress = _borders[^1];

        public bool Advance(char next)
        {
            while (Progress > 0 && (Progress == stop.Length || stop[Progress] != next))
                Progress = _borders[Progress - 1];
            if (stop[Progress] == next)
                Progress++;

            return Progress == stop.Length;
        }

        // Per prefix, the length of the longest proper prefix that it also ends with.
        private static int[] Borders(string stop)
        {
            var borders = new int[stop.Length];
            for (int index = 1; index < stop.Length; index++)
            {
                int border = borders[index - 1];
                while (border > 0 && stop[border] != stop[index])
                    border = borders[border - 1];
                borders[index] = stop[border] == stop[index] ? border + 1 : 0;
            }

            return borders;
        }
    }
}
