using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace K2Cluster.Client.Internal;

/// <summary>Several streams as one, in order for each; the first failure ends them all.</summary>
internal static class MergedStreams
{
    /// <summary>What a slow reader may leave unread before the streams wait.</summary>
    private const int Capacity = 64;

    public static async IAsyncEnumerable<T> RunAsync<T>(IReadOnlyList<IAsyncEnumerable<T>> streams, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        if (streams.Count <= 1)
        {
            foreach (IAsyncEnumerable<T> only in streams)
            {
                await foreach (T item in only.WithCancellation(cancellationToken).ConfigureAwait(false))
                    yield return item;
            }

            yield break;
        }

        using CancellationTokenSource work = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Channel<T> items = Channel.CreateBounded<T>(Capacity);
        Task running = CopyAllAsync(streams, items.Writer, work);
        try
        {
            await foreach (T item in items.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
                yield return item;
        }
        finally
        {
            await work.CancelAsync().ConfigureAwait(false);
            await running.ConfigureAwait(false);
        }
    }

    private static async Task CopyAllAsync<T>(IReadOnlyList<IAsyncEnumerable<T>> streams, ChannelWriter<T> items, CancellationTokenSource work)
    {
        Exception? failure = null;
        await Task.WhenAll(streams.Select(async stream =>
        {
            try
            {
                await foreach (T item in stream.WithCancellation(work.Token).ConfigureAwait(false))
                    await items.WriteAsync(item, work.Token).ConfigureAwait(false);
            }
            catch (Exception error)
            {
                // Those that follow from cancelling the others are no news.
                Interlocked.CompareExchange(ref failure, error, null);
                await work.CancelAsync().ConfigureAwait(false);
            }
        })).ConfigureAwait(false);
        items.Complete(failure);
    }
}
