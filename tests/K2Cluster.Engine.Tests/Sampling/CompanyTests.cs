using K2Cluster.Engine.Tests.Fakes;

namespace K2Cluster.Engine.Tests.Sampling;

/// <summary>What a request asks of the sampler, it gets: alone and among others, whatever those ask.</summary>
public sealed class CompanyTests
{
    private static readonly SamplingParameters Everything = new(Temperature: 1.2f, TopP: 0.95f, Seed: 77)
    {
        TopK = 60,
        MinP = 0.002f,
        RepetitionPenalty = 1.2f,
        PresencePenalty = 0.4f,
        FrequencyPenalty = 0.3f,
        LogitBias = [new TokenBias(3, 4), new TokenBias(60, -100)],
        MinTokens = 20,
        TopLogprobs = 4,
    };

    [Fact]
    public async Task The_same_request_gives_the_same_tokens_and_logprobs_alone_and_among_others()
    {
        GenerationRequest request = Requests.Make(1, 70, 90, Everything) with { StopTokens = [5, 6, 7, 8], Choice = 2 };
        List<GeneratedToken> expected = MadeUpModel.Answer(request, 90);
        await using GenerationEngine engine = new(new FakeTrunk(), new EngineOptions { StepTokens = 33 });
        AssertSame(expected, await engine.Collect(request));

        GenerationRequest[] others = [.. Requests.Mixed(30), .. Enumerable.Range(0, 8).Select(i => Requests.Make(i + 9, 30, 60, Everything with { Seed = (ulong)i, TopLogprobs = i % 3 == 0 ? null : i }))];
        List<GeneratedToken>[] answers = await Task.WhenAll(others.Append(request).Append(request).Select(one => engine.Collect(one)));
        AssertSame(expected, answers[^1]);
        AssertSame(expected, answers[^2]);
    }

    [Fact]
    public async Task No_stop_token_comes_before_the_least_length()
    {
        await using GenerationEngine engine = new(new FakeTrunk());
        for (int seed = 0; seed < 20; seed++)
        {
            GenerationRequest request = Requests.Make(seed, 5, 200, new SamplingParameters(Seed: (ulong)seed)) with { StopTokens = [.. Enumerable.Range(10, 50)] };
            int free = (await engine.Collect(request)).Count;
            List<GeneratedToken> held = await engine.Collect(request with { Sampling = request.Sampling with { MinTokens = 30 } });
            Assert.True(free < 30 && held.Count > 30, $"{free} tokens, {held.Count} with a least length of 30");
            Assert.All(held[..30], token => Assert.DoesNotContain(token.Id, request.StopTokens));
        }
    }

    private static void AssertSame(List<GeneratedToken> expected, List<GeneratedToken> actual)
    {
        Assert.Equal(expected.Select(token => (token.Id, token.Finish)), actual.Select(token => (token.Id, token.Finish)));
        for (int i = 0; i < expected.Count; i++)
        {
            Assert.Equal(expected[i].Logprobs!.Logprob, actual[i].Logprobs!.Logprob);
            Assert.Equal(expected[i].Logprobs!.Top, actual[i].Logprobs!.Top);
        }
    }
}
