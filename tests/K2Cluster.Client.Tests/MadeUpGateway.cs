using Google.Protobuf;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Tests;

/// <summary>
/// A gateway whose answers follow from seed and choice: six tokens, some of no text, some of several pieces. Its calls end as
/// a test says.
/// </summary>
internal sealed class MadeUpGateway : Inference.InferenceClient
{
    private const uint Tokens = 6;
    private int _seeds = 40;

    /// <summary>For each call, in order: how many events come before it fails, and with what. A call without one is answered.</summary>
    public List<(int Events, RpcException Error)> Failures { get; } = [];

    /// <summary>Added to all tokens: another model.</summary>
    public uint Differs { get; init; }

    public List<GenerateRequest> Requests { get; } = [];

    public List<CallOptions> Options { get; } = [];

    public override AsyncServerStreamingCall<GenerateEvent> Generate(GenerateRequest request, CallOptions options) => Answer(request, options, item => item);

    /// <summary>The same events, the text as content.</summary>
    public override AsyncServerStreamingCall<ChatEvent> Chat(ChatRequest request, CallOptions options)
    {
        GenerateRequest same = new() { Options = request.Options, Generated = request.Generated, Choice = request.Choice };
        return Answer(same, options, item =>
        {
            ChatEvent mapped = new() { Choice = item.Choice, TokenIds = { item.TokenIds }, Logprobs = { item.Logprobs } };
            if (item.EventCase == GenerateEvent.EventOneofCase.Started)
                mapped.Started = item.Started;
            else if (item.EventCase == GenerateEvent.EventOneofCase.Text)
                mapped.Content = item.Text;
            else if (item.EventCase == GenerateEvent.EventOneofCase.Finished)
                mapped.Finished = item.Finished;
            return mapped;
        });
    }

    private AsyncServerStreamingCall<T> Answer<T>(GenerateRequest request, CallOptions options, Func<GenerateEvent, T> map)
        where T : IMessage
    {
        lock (Requests)
        {
            Requests.Add(request.Clone());
            Options.Add(options);
            (int count, RpcException? error) = Failures is [var failure, ..] ? failure : (int.MaxValue, null);
            if (error is not null)
                Failures.RemoveAt(0);
            return new AsyncServerStreamingCall<T>(new Reader<T>([.. Events(request).Take(count).Select(map)], error, options.CancellationToken), Task.FromResult(new Metadata()), () => Status.DefaultSuccess, () => [], () => { });
        }
    }

    private IEnumerable<GenerateEvent> Events(GenerateRequest request)
    {
        uint seed = request.Options.HasSeed ? (uint)request.Options.Seed : (uint)_seeds++;
        yield return new GenerateEvent { Started = new Started { RequestId = $"r{Requests.Count}", Seed = seed, PromptTokens = 3, PromptTokenIds = { 1, 2, 3 } } };
        uint[] choices = request.Generated is null ? [.. Enumerable.Range(0, (int)Math.Max(1, request.Options.N)).Select(i => (uint)i)] : [request.Choice];
        for (uint token = 0; token < Tokens; token++)
        {
            foreach (uint choice in choices)
            {
                uint id = (1000 * seed) + (100 * choice) + token + Differs;
                if (token < (request.Generated?.Ids.Count ?? 0))
                    Assert.Equal(request.Generated!.Ids[(int)token], id);
                else
                {
                    foreach (GenerateEvent item in Step(token, id))
                    {
                        item.Choice = choice;
                        yield return item;
                    }
                }
            }
        }
    }

    private static List<GenerateEvent> Step(uint token, uint id)
    {
        List<GenerateEvent> events = [.. Enumerable.Range(0, (int)token % 3).Select(piece => new GenerateEvent { Text = $"{id}.{piece} " })];
        if (token == Tokens - 1)
            events.Add(new GenerateEvent { Finished = new Finished { Reason = FinishReason.Length, Usage = new Usage { CompletionTokens = Tokens } } });
        if (events.Count == 0)
            events.Add(new GenerateEvent());
        events[0].TokenIds.Add(id);
        return events;
    }

    private sealed class Reader<T>(T[] events, RpcException? error, CancellationToken cancellation) : IAsyncStreamReader<T>
    {
        private int _next = -1;

        public T Current => events[_next];

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            await Task.Yield();
            if (cancellation.IsCancellationRequested)
                throw new RpcException(new Status(StatusCode.Cancelled, "cancelled"));
            return ++_next < events.Length || (error is null ? false : throw error);
        }
    }
}
