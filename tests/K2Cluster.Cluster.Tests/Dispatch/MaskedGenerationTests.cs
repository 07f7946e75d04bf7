using System.Globalization;
using K2Cluster.Checkpoint;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using K2Cluster.Engine;
using K2Cluster.Grains.Shards;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;
using K2Cluster.Trunk;
using Microsoft.Extensions.Logging.Abstractions;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>
/// The whole engine over shards of a small checkpoint, one of which dies, falls silent or gives NaN in the middle: under a mask
/// through the sampler's hook, with log-probabilities, and to the bit what undisturbed experts give.
/// </summary>
public sealed class MaskedGenerationTests : IDisposable
{
    private const int Tokens = 40;

    private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
    private readonly CpuCompute _compute = new(1, CpuPaths.Best);
    private readonly List<IDisposable> _owned = [];

    public enum Fault
    {
        Death,
        Silence,
        NaN,
    }

    [Theory]
    [InlineData(Fault.Death)]
    [InlineData(Fault.Silence)]
    [InlineData(Fault.NaN)]
    public async Task Masked_answers_and_their_probabilities_are_the_same_when_a_shard_fails(Fault fault)
    {
        List<string> expected = await GenerateAsync(LocalExperts.Load(_model, _compute, 512));

        int first = _model.Config.FirstDenseLayers;
        ExpertGrid grid = new(first, _model.Config.LayerCount - first, _model.Config.RoutedExperts);
        MadeUpChannels shards = new(grid);
        for (int slot = 0; slot < 2; slot++)
        {
            ExpertShard shard = await StartAsync(grid, slot);
            shards[slot].Handle = (frame, cancellation) => shard.ForwardAsync(frame, cancellation).AsTask();
        }

        Func<ExpertFrame, CancellationToken, Task<ExpertReply>?> sound = shards[0].Handle!;
        int calls = 0;
        shards[0].Handle = (frame, cancellation) => Interlocked.Increment(ref calls) < 20 ? sound(frame, cancellation) : Fail(fault, shards, sound, frame, cancellation);
        shards.Publish(2, _ => [0, 1]);
        List<string> actual = await GenerateAsync(new ExpertDispatcher(shards.Board, shards, new DispatchOptions { FirstHedge = TimeSpan.FromMilliseconds(50), FirstAvoidance = TimeSpan.FromMilliseconds(1) }, TimeProvider.System, NullLogger<ExpertDispatcher>.Instance));

        Assert.True(calls >= 20, $"The shard was asked {calls} times only: the fault never came.");
        Assert.Equal(expected, actual);
    }

    public void Dispose()
    {
        foreach (IDisposable owned in Enumerable.Reverse(_owned))
            owned.Dispose();
        _compute.Dispose();
        _model.Dispose();
    }

    private static Task<ExpertReply> Fail(Fault fault, MadeUpChannels shards, Func<ExpertFrame, CancellationToken, Task<ExpertReply>?> sound, ExpertFrame frame, CancellationToken cancellation)
    {
        switch (fault)
        {
            case Fault.Death:
                frame.Dispose();
                return Task.FromException<ExpertReply>(new ShardUnavailableException(MadeUpChannels.Shard(0), "made up"));
            case Fault.Silence:
                shards[0].IsSilent = true;
                return new TaskCompletionSource<ExpertReply>().Task;
            default:
                return SpoilAsync(sound(frame, cancellation)!);
        }
    }

    private static async Task<ExpertReply> SpoilAsync(Task<ExpertReply> sound)
    {
        ExpertReply reply = await sound;
        reply.Payload.Span[ExpertReply.StatusLength(reply.Pairs)..].Fill(0xFF);
        return reply;
    }

    private async Task<ExpertShard> StartAsync(ExpertGrid grid, int slot)
    {
        CpuExpertDevice device = new(_model.Config, _model.Catalog, 1L << 30, _compute);
        ExpertShard shard = new(new PlannedShard(MadeUpChannels.Shard(slot), 1, "cpu", "int4-g32"), grid, device, _model.Tensors, TimeProvider.System);
        _owned.Add(shard);
        shard.Assign(new ShardAssignment(new Epoch(1, 1), [.. Enumerable.Range(0, grid.Count)], []));
        await Eventually.TrueAsync(() => shard.Report.Held.Length == grid.Count, "all experts loaded");
        return shard;
    }

    private async Task<List<string>> GenerateAsync(IExperts experts)
    {
        _owned.Add((IDisposable)experts);
        LayerRange layers = new(0, _model.Config.LayerCount);
        CpuTrunk trunk = CpuTrunk.Load(_model.Config, _model.Tensors, _compute, experts, new TrunkOptions { KvMemoryBytes = 8 * CpuTrunk.KvPageBytes(_model.Config, layers) });
        _owned.Add(trunk);
        await using GenerationEngine engine = new(trunk);
        List<string> answer = [];
        GenerationRequest request = new()
        {
            Id = "masked",
            Prompt = new[] { 5, 17, 90, 400, 3 },
            MaxTokens = Tokens,
            Sampling = new SamplingParameters(Seed: 3) { TopLogprobs = 2 },
            LogitsProcessor = new EveryThird(),
        };
        await foreach (GeneratedToken token in engine.GenerateAsync(request))
            answer.Add(string.Create(CultureInfo.InvariantCulture, $"{token.Id} {BitConverter.SingleToUInt32Bits(token.Logprobs!.Logprob):x8}"));
        Assert.Equal(Tokens, answer.Count);
        Assert.All(answer, token => Assert.Equal(0, int.Parse(token.Split(' ')[0], CultureInfo.InvariantCulture) % 3));
        return answer;
    }

    /// <summary>A mask: of the tokens one in three may come.</summary>
    private sealed class EveryThird : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            for (int token = 0; token < logits.Length; token++)
            {
                if (token % 3 != 0)
                    logits[token] = float.NegativeInfinity;
            }
        }
    }
}
