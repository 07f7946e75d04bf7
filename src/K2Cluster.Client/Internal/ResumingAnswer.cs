using System.Runtime.CompilerServices;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Internal;

/// <summary>The events of one request, from as many gateways as it takes.</summary>
internal sealed class ResumingAnswer<TRequest, TEvent>
    where TRequest : class
    where TEvent : class
{
    private readonly AnswerMethod<TRequest, TEvent> _method;
    private readonly Func<Attempts> _attempts;
    private readonly TRequest _request;
    private readonly bool _wantsTokens;
    private readonly SortedDictionary<uint, ChoiceProgress> _choices = [];
    private Started? _started;

    public ResumingAnswer(AnswerMethod<TRequest, TEvent> method, TRequest request, Func<Attempts> attempts)
    {
        (_method, _attempts) = (method, attempts);
        _request = method.Clone(request);
        GenerationOptions options = method.Options(_request);
        _wantsTokens = options.ReturnTokenIds;
        options.ReturnTokenIds = true;
        if (method.Generated(_request) is { } generated)
            _choices[method.Choice(_request)] = new ChoiceProgress(generated.Ids);
        else
        {
            for (uint choice = 0; choice < Math.Clamp(options.N, 1, 1024); choice++)
                _choices[choice] = new ChoiceProgress([]);
        }
    }

    public async IAsyncEnumerable<TEvent> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // As it was asked, until something of it has come.
        await foreach (TEvent item in TryAsync(() => _started is null ? _request : null, cancellationToken).ConfigureAwait(false))
            yield return item;

        // From then on each answer goes on by itself, where its gateway did not finish it.
        uint[] left = [.. _choices.Where(choice => !choice.Value.IsFinished).Select(choice => choice.Key)];
        IAsyncEnumerable<TEvent>[] rest = [.. left.Select(choice => TryAsync(() => Resumed(choice), cancellationToken))];
        await foreach (TEvent item in MergedStreams.RunAsync(rest, cancellationToken).ConfigureAwait(false))
            yield return item;
    }

    /// <summary>The request for the rest of an answer; null when there is none.</summary>
    private TRequest? Resumed(uint choice)
    {
        ChoiceProgress progress = _choices[choice];
        if (progress.IsFinished)
            return null;
        TRequest request = _method.Clone(_request);
        _method.Options(request).Seed = _started!.Seed;
        _method.Resume(request, choice, new TokenIds { Ids = { progress.Resume() } });
        return request;
    }

    /// <summary>Makes calls until there is none to make, and gives what is new of their events.</summary>
    private async IAsyncEnumerable<TEvent> TryAsync(Func<TRequest?> next, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Attempts attempts = _attempts();
        while (next() is { } request)
        {
            RpcException? failure = null;
            using AsyncServerStreamingCall<TEvent> call = _method.Call(attempts.Gateway, request, attempts.CallOptions(cancellationToken));
            while (true)
            {
                try
                {
                    if (!await call.ResponseStream.MoveNext(cancellationToken).ConfigureAwait(false))
                        break;
                }
                catch (RpcException error)
                {
                    // Ours, whatever the channel makes of it.
                    cancellationToken.ThrowIfCancellationRequested();
                    failure = error;
                    break;
                }

                TEvent item = call.ResponseStream.Current;
                if (!IsNew(item))
                    continue;
                // What came before does not count: else gateways that die of a request would be tried for ever.
                attempts.Progress();
                if (IsShown(item))
                    yield return item;
            }

            if (failure is null && next() is null)
                break;
            failure ??= new RpcException(new Status(StatusCode.Internal, "The gateway ended the stream before the answer."));
            await attempts.NextAsync(failure, _started is not null, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Whether an event tells more than the gateways before did.</summary>
    private bool IsNew(TEvent item)
    {
        if (_method.Started(item) is { } started)
        {
            bool isFirst = _started is null;
            _started ??= started.Clone();
            return isFirst;
        }

        return _choices.TryGetValue(_method.Choice(item), out ChoiceProgress? choice)
            ? choice.Take(_method.TokenIds(item), _method.IsFinished(item))
            : throw new RpcException(new Status(StatusCode.Internal, $"The gateway sent an answer {_method.Choice(item)} that was not asked for."));
    }

    /// <summary>Whether anything is left of an event for the reader, who gets no tokens that it did not ask for.</summary>
    private bool IsShown(TEvent item)
    {
        if (!_wantsTokens)
        {
            _method.Started(item)?.PromptTokenIds.Clear();
            _method.TokenIds(item).Clear();
        }

        return !_method.IsEmpty(item);
    }
}
