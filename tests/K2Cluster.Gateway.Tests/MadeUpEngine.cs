using System.Diagnostics;
using System.Runtime.CompilerServices;
using K2Cluster.Engine;

namespace K2Cluster.Gateway.Tests;

/// <summary>An engine whose tokens a test writes; counts what is begun and ended.</summary>
internal sealed class MadeUpEngine : IEngine
{
    private readonly TaskCompletionSource _hangs = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<bool> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public int MaxContext { get; init; } = 4096;

    public int MaxRequests { get; init; } = 1280;

    public int VocabularySize { get; init; } = 2048;

    /// <summary>The tokens of a request; by default drawn by its seed, without stop tokens. Cut to MaxTokens and at stop tokens.</summary>
    public Func<GenerationRequest, IEnumerable<int>>? Script { get; set; }

    /// <summary>Thrown when a request is submitted.</summary>
    public Exception? Refusal { get; set; }

    /// <summary>Thrown in place of the end, or of the token with this index.</summary>
    public Exception? Failure { get; set; }

    public int FailureAt { get; set; } = int.MaxValue;

    /// <summary>After this many tokens the engine waits until it is cancelled, or for <see cref="Release"/>.</summary>
    public int HangAfter { get; set; } = int.MaxValue;

    public TaskCompletionSource Release { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Of each prompt.</summary>
    public int CachedTokens { get; init; }

    public List<GenerationRequest> Requests { get; } = [];

    /// <summary>The activity under which the last request was submitted.</summary>
    public Activity? Caller { get; private set; }

    /// <summary>Ends when the engine begins to wait for its cancellation.</summary>
    public Task Hangs => _hangs.Task;

    /// <summary>Ends with the first request: whether it was ended by cancellation.</summary>
    public Task<bool> Ended => _ended.Task;

    public IAsyncEnumerable<GeneratedToken> GenerateAsync(GenerationRequest request, CancellationToken cancellationToken = default)
    {
        Caller = Activity.Current;
        lock (Requests)
            Requests.Add(request);
        return Refusal is null ? RunAsync(request, cancellationToken) : throw Refusal;
    }

    private async IAsyncEnumerable<GeneratedToken> RunAsync(GenerationRequest request, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            int count = 0;
            int most = Math.Min(request.MaxTokens, MaxContext - request.Prompt.Length);
            foreach (int token in Script?.Invoke(request) ?? Drawn(request))
            {
                // Given out before, on another gateway.
                if (count < request.Generated.Length)
                {
                    Assert.Equal(request.Generated.Span[count++], token);
                    continue;
                }

                if (count == HangAfter)
                {
                    _hangs.TrySetResult();
                    await Release.Task.WaitAsync(cancellationToken);
                }

                if (count == FailureAt)
                    throw Failure!;
                await Task.Yield();
                cancellationToken.ThrowIfCancellationRequested();
                FinishReason? finish = request.StopTokens.Contains(token) ? FinishReason.Stop : ++count == most ? FinishReason.Length : null;
                yield return new GeneratedToken(token, finish) { Logprobs = Logprobs(request, token), CachedTokens = CachedTokens };
                if (finish is not null)
                    yield break;
            }

            throw Failure ?? new InvalidOperationException("The script ended before the request.");
        }
        finally
        {
            _ended.TrySetResult(cancellationToken.IsCancellationRequested);
        }
    }

    /// <summary>Made up: of the chosen token by its id, of the likeliest by their rank; the first of those is the chosen one where the id is even.</summary>
    private static TokenLogprobs? Logprobs(GenerationRequest request, int token) => request.Sampling.TopLogprobs is not { } count ? null
        : new TokenLogprobs(-token / 1000f, [.. Enumerable.Range(0, count).Select(rank => new TokenLogprob(rank == 0 && token % 2 == 0 ? token : 100 + rank, -(rank + 1) / 10f))]);

    private IEnumerable<int> Drawn(GenerationRequest request)
    {
        Random random = new((int)request.Sampling.Seed);
        while (true)
        {
            int token = random.Next(VocabularySize);
            if (!request.StopTokens.Contains(token)) // a request without a seed must not end by chance
                yield return token;
        }
    }
}
