using System.Globalization;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Tests;
using K2Cluster.Trunk;

namespace K2Cluster.Engine.Tests;

/// <summary>
/// Where the bits matter: the engine over the CPU trunk and a small checkpoint. Log-probabilities go with every token, so
/// that a difference of one bit in the logits shows, whatever token is chosen.
/// </summary>
public sealed class RealTrunkTests
{
    private static readonly SamplingParameters Drawn = new(Seed: 7) { TopLogprobs = 3 };

    /// <summary>How requests run: batch, chunks, pages, cache, drafts.</summary>
    public static TheoryData<int, int, int, bool, int> Ways => new()
    {
        { 512, 256, 64, true, 0 },
        { 512, 1, 64, false, 0 },
        { 7, 3, 64, true, 0 },
        { 64, 64, 7, true, 0 },
        { 64, 64, 7, false, 0 },
        { 128, 64, 64, true, 8 },
        { 100, 50, 7, true, 8 },
    };

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task Tokens_and_their_probabilities_do_not_depend_on_batch_chunks_cache_preemption_or_drafts(int stepTokens, int chunk, int pages, bool cache, int drafts)
    {
        GenerationRequest[] requests = [.. Enumerable.Range(0, 6).Select(Request)];
        List<string>[] expected = new List<string>[requests.Length];
        for (int i = 0; i < requests.Length; i++)
        {
            // Each alone, in an engine of its own.
            using Host alone = new(64);
            await using GenerationEngine engine = new(alone.Trunk, new EngineOptions { PrefixCache = false });
            expected[i] = await Collect(engine, requests[i]);
        }

        using Host host = new(pages);
        await using GenerationEngine busy = new(host.Trunk, new EngineOptions { StepTokens = stepTokens, PrefillChunkTokens = chunk, PrefixCache = cache, DraftTokens = drafts });
        (bool Cached, bool Accepted, bool Preempted) Seen() => (busy.Scheduler.CachedTokens > 0, busy.Scheduler.AcceptedTokens > 0, busy.Scheduler.Preemptions > 0);
        (bool, bool, bool) toSee = (cache, drafts > 0, pages < 64);

        // Who meets whom is chance: more often until all has happened.
        for (int round = 0; round < 2 || (round < 100 && Seen() != toSee); round++)
        {
            List<string>[] actual = await Task.WhenAll(requests.Select(request => Collect(busy, request)));
            for (int i = 0; i < requests.Length; i++)
                Assert.Equal(expected[i], actual[i]);
        }

        Assert.Equal(toSee, Seen());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Greedy_ids_are_the_reference_s_the_first_time_and_from_the_cache(bool drafts)
    {
        SafetensorsFile file = SafetensorsFile.Read(Repository.Fixture("tiny-k2", "expected.safetensors"));
        int[] prompt = Longs(file, "input_ids");
        int[] ids = Longs(file, "greedy_ids");
        using Host host = new(16);
        await using GenerationEngine engine = new(host.Trunk, new EngineOptions { DraftTokens = drafts ? 8 : 0 });
        for (int round = 0; round < 2; round++)
        {
            List<GeneratedToken> answer = [];
            await foreach (GeneratedToken token in engine.GenerateAsync(new GenerationRequest { Id = "r", Prompt = prompt, MaxTokens = ids.Length }))
                answer.Add(token);
            Assert.Equal(ids, answer.Select(token => token.Id));
            Assert.All(answer, token => Assert.Equal(round * ((prompt.Length - 1) / 64 * 64), token.CachedTokens));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(8)]
    public async Task An_answer_that_was_cut_off_goes_on_to_the_same_bits_in_another_engine(int drafts)
    {
        SamplingParameters punished = Drawn with { RepetitionPenalty = 1.2f, PresencePenalty = 0.4f, FrequencyPenalty = 0.3f, MinTokens = 60 };
        GenerationRequest[] requests =
        [
            Request(0),
            Request(2),
            Request(1) with { Sampling = punished, Choice = 3, StopTokens = [.. Enumerable.Range(0, 200)] },
        ];
        using Host host = new(64);
        await using GenerationEngine engine = new(host.Trunk);
        using Host other = new(64);
        await using GenerationEngine elsewhere = new(other.Trunk, new EngineOptions { DraftTokens = drafts });
        foreach (GenerationRequest request in requests)
        {
            List<string> whole = await Collect(engine, request);
            int[] ids = [.. whole.Select(token => int.Parse(token.AsSpan(0, token.IndexOf(' ')), CultureInfo.InvariantCulture))];
            Assert.InRange(ids.Length, 60, 80);
            foreach (int cut in new[] { 1, 35, ids.Length - 1 })
                Assert.Equal(whole[cut..], await Collect(elsewhere, request with { Generated = ids.AsMemory(0, cut) }));
        }
    }

    /// <summary>Three prompts that begin alike and three that do not, over page boundaries; greedy and drawn answers, two that repeat themselves.</summary>
    private static GenerationRequest Request(int index)
    {
        int[] prompt = new int[60 + (index * 30)];
        Random common = new(index < 3 ? 1 : index);
        for (int i = 0; i < prompt.Length; i++)
            prompt[i] = index == 2 && i > 70 ? prompt[i - 4] : common.Next(700);
        return new GenerationRequest
        {
            Id = $"r{index}",
            Prompt = prompt,
            MaxTokens = 80,
            Sampling = index switch
            {
                // Of one token, and of two by chance: drafts hit.
                2 => Drawn with { LogitBias = [new TokenBias(5, 60)] },
                3 => Drawn with { LogitBias = [new TokenBias(5, 60), new TokenBias(9, 60)] },
                _ => index % 2 == 0 ? SamplingParameters.Greedy with { TopLogprobs = 3 } : Drawn,
            },
            Priority = index % 3,
        };
    }

    private static async Task<List<string>> Collect(GenerationEngine engine, GenerationRequest request)
    {
        List<string> all = [];
        await foreach (GeneratedToken token in engine.GenerateAsync(request))
            all.Add($"{token.Id} {token.Finish} {BitConverter.SingleToUInt32Bits(token.Logprobs!.Logprob):x8} {string.Join(' ', token.Logprobs.Top.Select(top => $"{top.Token}:{BitConverter.SingleToUInt32Bits(top.Logprob):x8}"))}");
        return all;
    }

    private static int[] Longs(SafetensorsFile file, string name) => [.. MemoryMarshal.Cast<byte, long>(file.DataOf(name)).ToArray().Select(value => (int)value)];

    private sealed class Host : IDisposable
    {
        private readonly ModelDirectory _model = ModelDirectory.Open(Repository.Fixture("tiny-k2"));
        private readonly CpuCompute _compute = new(1, CpuPaths.Best);
        private readonly LocalExperts _experts;

        public Host(int pages)
        {
            _experts = LocalExperts.Load(_model, _compute, 512);
            LayerRange layers = new(0, _model.Config.LayerCount);
            Trunk = CpuTrunk.Load(_model.Config, _model.Tensors, _compute, _experts, new TrunkOptions { KvMemoryBytes = pages * CpuTrunk.KvPageBytes(_model.Config, layers) });
            Assert.Equal(pages, Trunk.PageCount);
        }

        public CpuTrunk Trunk { get; }

        public void Dispose()
        {
            Trunk.Dispose();
            _experts.Dispose();
            _compute.Dispose();
            _model.Dispose();
        }
    }
}
