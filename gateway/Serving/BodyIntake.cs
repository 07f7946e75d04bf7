namespace K2Cluster.Gateway.Serving;

/// <summary>
/// What all requests together may hold of bodies, in bytes, and how many of the long ones are taken apart at once: encoding
/// 32 MiB of text takes a core for seconds, on the pool of threads that the cluster's own messages need, too. Short bodies pass.
/// </summary>
/// <param name="mostBytes">Of all long bodies together.</param>
/// <param name="places">Long bodies that are taken apart at once.</param>
/// <param name="patience">How long one waits for a place.</param>
internal sealed class BodyIntake(long mostBytes, int places, TimeSpan patience) : IDisposable
{
    /// <summary>A body up to this long is neither counted nor waits: the connections' number bounds these.</summary>
    public const int ShortBytes = 64 << 10;

    private readonly SemaphoreSlim _places = new(places);
    private long _held;

    public BodyIntake()
        : this(512L << 20, Math.Max(1, Environment.ProcessorCount / 2), TimeSpan.FromSeconds(30))
    {
    }

    private long MostBytes { get; } = mostBytes;

    /// <summary>Counts a body that grows.</summary>
    public Share Begin() => new(this);

    /// <summary>Waits for the turn of a body of this length; what is returned, null for a short one, ends it.</summary>
    /// <exception cref="RequestException">None was free in time.</exception>
    /// <exception cref="OperationCanceledException">The client left.</exception>
    public async ValueTask<IDisposable?> EnterAsync(long bytes, CancellationToken cancellationToken)
    {
        if (bytes <= ShortBytes)
            return null;
        return await _places.WaitAsync(patience, cancellationToken) ? new Turn(_places) : throw Busy("taken apart");
    }

    public void Dispose() => _places.Dispose();

    private static RequestException Busy(string what) =>
        new(RequestFault.Busy, $"Too many long requests are being {what}; send this one again in a moment.", code: "too_many_long_requests") { RetryAfter = TimeSpan.FromSeconds(2) };

    /// <summary>The bytes of one body, given back when it is disposed.</summary>
    internal sealed class Share(BodyIntake intake) : IDisposable
    {
        private long _taken;

        /// <param name="bytes">What the body takes by now, in all.</param>
        /// <exception cref="RequestException">That is more than all bodies together may have; nothing more is taken.</exception>
        public void Hold(long bytes)
        {
            long more = Math.Max(0, bytes - ShortBytes) - _taken;
            if (more <= 0)
                return;
            if (Interlocked.Add(ref intake._held, more) > intake.MostBytes)
            {
                Interlocked.Add(ref intake._held, -more);
                throw Busy("received");
            }

            _taken += more;
        }

        public void Dispose()
        {
            Interlocked.Add(ref intake._held, -_taken);
            _taken = 0;
        }
    }

    private sealed class Turn(SemaphoreSlim places) : IDisposable
    {
        private int _ended;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _ended, 1) == 0)
                places.Release();
        }
    }
}
