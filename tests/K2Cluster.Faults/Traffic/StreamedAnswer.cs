using System.Diagnostics;
using System.Globalization;
using System.Text;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Faults.Traffic;

/// <summary>A request's answer as it came: what is compared, and when each token was there.</summary>
/// <param name="Error">Why it failed; null when it came to its end.</param>
/// <param name="Status">Of the failure.</param>
/// <param name="Text">Token ids and log-probabilities, to the bit.</param>
/// <param name="Started">Time of the request, as a Stopwatch timestamp.</param>
/// <param name="Tokens">Times of the tokens.</param>
internal sealed record StreamedAnswer(string? Error, StatusCode Status, string Text, long Started, IReadOnlyList<long> Tokens)
{
    public TimeSpan Duration => Tokens.Count == 0 ? TimeSpan.Zero : Stopwatch.GetElapsedTime(Started, Tokens[^1]);

    /// <summary>The longest wait for a token, the first included.</summary>
    public TimeSpan LongestGap
    {
        get
        {
            TimeSpan longest = TimeSpan.Zero;
            long before = Started;
            foreach (long token in Tokens)
            {
                TimeSpan gap = Stopwatch.GetElapsedTime(before, token);
                longest = gap > longest ? gap : longest;
                before = token;
            }

            return longest;
        }
    }

    /// <summary>
    /// From a time to the end of the wait that followed it, if the request was under way then; null otherwise. That is the longest
    /// of the next four waits for a token: some may have been on their way already.
    /// </summary>
    public TimeSpan? GoesOnAfter(long time)
    {
        if (Started >= time || Tokens.Count == 0 || Tokens[^1] < time)
            return null;
        (long before, long longest, long end) = (time, -1, time);
        foreach (long token in Tokens.Where(token => token >= time).Take(4))
        {
            if (token - before > longest)
                (longest, end) = (token - before, token);
            before = token;
        }

        return Stopwatch.GetElapsedTime(time, end);
    }

    public static async Task<StreamedAnswer> ReadAsync(IAsyncEnumerable<GenerateEvent> events)
    {
        long start = Stopwatch.GetTimestamp();
        List<long> times = [];

        // How tokens are put together into events depends on timing; what is said of each does not.
        StringBuilder ids = new();
        StringBuilder logprobs = new();
        bool isWhole = false;
        try
        {
            await foreach (GenerateEvent item in events)
            {
                foreach (uint id in item.TokenIds)
                {
                    ids.Append(CultureInfo.InvariantCulture, $"{id} ");
                    times.Add(Stopwatch.GetTimestamp());
                }

                foreach (TokenLogprobs token in item.Logprobs)
                    logprobs.Append(CultureInfo.InvariantCulture, $"{BitConverter.SingleToUInt32Bits(token.Chosen.Logprob):x8} ");
                isWhole |= item.Finished is not null;
            }

            return new StreamedAnswer(isWhole ? null : $"the answer ended early: {ids}", StatusCode.OK, $"{ids}{logprobs}", start, times);
        }
        catch (RpcException exception)
        {
            return new StreamedAnswer($"{exception.StatusCode}: {exception.Status.Detail}", exception.StatusCode, ids.ToString(), start, times);
        }
    }
}
