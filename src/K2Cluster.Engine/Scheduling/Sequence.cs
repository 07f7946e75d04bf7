using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading.Channels;
using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Speculation;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Scheduling;

/// <summary>
/// A request on its way: its tokens, how many of them are in the KV pages, and the channel to its reader. Belongs to the
/// engine's thread, but for its reader's side: <see cref="Cancel"/>, <see cref="Release"/>, <see cref="TryTakeReader"/>, <see cref="Output"/>.
/// </summary>
internal sealed class Sequence
{
    private readonly List<int> _tokens;
    private readonly int[] _stopTokens;
    private readonly int[] _draft;
    private readonly Channel<GeneratedToken> _output;
    private volatile bool _cancelled;
    private int _hasReader;

    /// <param name="request">Validated; its prompt is copied, and what it generated elsewhere.</param>
    /// <param name="maxTokens">The request's own, cut to the context.</param>
    /// <param name="deadline">On the engine's clock.</param>
    /// <param name="draftTokens">Most tokens to draft for a step; 0 for none.</param>
    public Sequence(GenerationRequest request, int maxTokens, TimeSpan deadline, int draftTokens = 0)
    {
        Request = request;
        MaxTokens = maxTokens;
        Deadline = deadline;
        PromptLength = request.Prompt.Length;
        _tokens = new List<int>(PromptLength + Math.Min(maxTokens, 256));
        _tokens.AddRange(request.Prompt.Span);
        _tokens.AddRange(request.Generated.Span);
        Pages = new List<int>(PagesFor(PromptLength + Math.Min(maxTokens, 1024)));
        _stopTokens = [.. request.StopTokens];
        Sampling = new SamplingState(request);
        _draft = draftTokens > 0 ? new int[Math.Min(draftTokens, maxTokens)] : [];
        // Never full: a reader that lags or went away does not hold up the loop.
        _output = Channel.CreateBounded<GeneratedToken>(new BoundedChannelOptions(maxTokens) { SingleReader = true, SingleWriter = true });
    }

    public GenerationRequest Request { get; }

    public SamplingState Sampling { get; }

    public int PromptLength { get; }

    public int MaxTokens { get; }

    public TimeSpan Deadline { get; }

    public ReadOnlySpan<int> Tokens => CollectionsMarshal.AsSpan(_tokens);

    /// <summary>Tokens whose KV is in the pages; always from the first on.</summary>
    public int Computed { get; set; }

    /// <summary>Tokens that the trunk has yet to see; 1 while decoding, never 0.</summary>
    public int Remaining => _tokens.Count - Computed;

    /// <summary>The most tokens that were ever computed; more than <see cref="Computed"/> while it recovers from a preemption.</summary>
    public int Furthest { get; set; }

    /// <summary>Tokens of the prompt that came from the prefix cache.</summary>
    public int CachedTokens { get; set; }

    /// <summary>Page i holds positions [64 i, 64 i + 64).</summary>
    public List<int> Pages { get; }

    /// <summary>How many of the pages, from the first on, are in the prefix cache.</summary>
    public int SharedPages { get; set; }

    /// <summary>Its place among those of its priority: the number of those that came before.</summary>
    public long Arrival { get; set; }

    public bool IsRunning { get; set; }

    /// <summary>Rows that it has in the step that is being planned, its draft's among them; 0: it stays out.</summary>
    public int Rows { get; set; }

    /// <summary>Room for the tokens that may follow the last one; empty when nothing is to be drafted.</summary>
    public Span<int> Draft => _draft;

    /// <summary>How many of the step's rows are drafted tokens.</summary>
    public int DraftLength { get; set; }

    /// <summary>How much to draft, by what came of the drafts before.</summary>
    public DraftPace Pace { get; } = new();

    /// <summary>Not scheduled before this moment; set when its experts were unavailable.</summary>
    public TimeSpan RetryAt { get; set; }

    /// <summary>The wait before the next replay; zero when the last step succeeded.</summary>
    public TimeSpan RetryDelay { get; set; }

    /// <summary>Why the last step did not succeed.</summary>
    public string? Problem { get; set; }

    public bool HasEnded { get; private set; }

    public bool IsCancelled => _cancelled;

    /// <summary>The trace of whoever submitted it.</summary>
    public ActivityContext Trace { get; init; }

    public CancellationTokenRegistration Cancellation { get; set; }

    public ChannelReader<GeneratedToken> Output => _output.Reader;

    public static int PagesFor(int tokens) => (tokens + ITrunk.PageTokens - 1) / ITrunk.PageTokens;

    /// <summary>Higher priority first, then who came first.</summary>
    public bool IsBefore(Sequence other) =>
        Request.Priority != other.Request.Priority ? Request.Priority > other.Request.Priority : Arrival < other.Arrival;

    /// <summary>True for the first who asks: a sequence has one reader.</summary>
    public bool TryTakeReader() => Interlocked.Exchange(ref _hasReader, 1) == 0;

    /// <summary>Any thread: asks for the end, which comes at the engine's next turn.</summary>
    public void Cancel() => _cancelled = true;

    /// <summary>Any thread: lets the reader go with an error, before the engine has ended the sequence.</summary>
    public void Release(Exception error) => _output.Writer.TryComplete(error);

    /// <summary>Appends a token and hands it to the reader; returns why it is the last, or null when it is not.</summary>
    public FinishReason? Append(int token, TokenLogprobs? logprobs = null)
    {
        _tokens.Add(token);
        FinishReason? finish = _stopTokens.AsSpan().Contains(token) ? FinishReason.Stop
            : _tokens.Count - PromptLength == MaxTokens ? FinishReason.Length
            : null;
        _output.Writer.TryWrite(new GeneratedToken(token, finish) { Logprobs = logprobs, CachedTokens = CachedTokens });
        return finish;
    }

    /// <summary>Tells the reader that no more comes. Pages were given back before.</summary>
    public void End(Exception? error)
    {
        HasEnded = true;
        Cancellation.Unregister();
        _output.Writer.TryComplete(error);
    }
}
