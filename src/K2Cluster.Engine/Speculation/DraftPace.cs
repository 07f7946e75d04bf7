namespace K2Cluster.Engine.Speculation;

/// <summary>
/// How many tokens to draft for a sequence. A draft that was accepted whole doubles the next; one that was accepted in part
/// sets it to that and one more; one that missed makes the sequence pause, twice as long each time up to 64 steps. So a text
/// that does not repeat itself pays a row in 64.
/// </summary>
internal sealed class DraftPace
{
    private const int MaxPause = 64;
    private int _length = 4;
    private int _pause = 1;
    private int _wait;

    /// <summary>The tokens to draft for the step at hand, at most <paramref name="most"/>; 0 during a pause.</summary>
    public int Next(int most)
    {
        if (_wait > 0)
        {
            _wait--;
            return 0;
        }

        return Math.Min(_length, most);
    }

    public void Learn(int drafted, int accepted)
    {
        if (accepted == 0)
        {
            _length = 1;
            _wait = _pause;
            _pause = Math.Min(_pause * 2, MaxPause);
            return;
        }

        _pause = 1;
        _length = accepted == drafted ? Math.Max(_length, drafted * 2) : accepted + 1;
    }
}
