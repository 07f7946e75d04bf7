using BenchmarkDotNet.Attributes;
using K2Cluster.Engine;
using K2Cluster.Engine.Sampling;
using K2Cluster.Engine.Scheduling;

namespace K2Cluster.Benchmarks;

/// <summary>One token from K2's 163,840 logits, by what the request asks. Each includes a copy of the row, since some cases change it.</summary>
public class SamplerBenchmarks
{
    private const int Vocabulary = 163_840;

    private readonly float[] _model = new float[Vocabulary];
    private readonly float[] _row = new float[Vocabulary];
    private readonly Sampler _sampler = new(Vocabulary);
    private Sequence _sequence = null!;

    public enum Request
    {
        /// <summary>The copy alone: to be taken off.</summary>
        Copy,
        Greedy,
        Temperature,
        TopP,
        TopK,
        TopKAndTopP,
        MinP,

        /// <summary>Top-p over logits that are nearly equal: the worst case.</summary>
        TopPOfFlat,

        /// <summary>20,000 different tokens in prompt and answer.</summary>
        Penalties,
        Logprobs,
    }

    [ParamsAllValues]
    public Request Asks { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        Random random = new(1);
        // As models are sure of a few tokens: a wide bell and some that stand out.
        for (int id = 0; id < Vocabulary; id++)
            _model[id] = Asks == Request.TopPOfFlat ? random.NextSingle() / 100 : (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble())) * 2.5f;
        for (int i = 0; i < 20 && Asks != Request.TopPOfFlat; i++)
            _model[random.Next(Vocabulary)] = 12 + (random.NextSingle() * 8);
        SamplingParameters sampling = Asks switch
        {
            Request.Greedy => SamplingParameters.Greedy,
            Request.TopP or Request.TopPOfFlat => new(Temperature: 0.8f, TopP: 0.95f),
            Request.TopK => new(Temperature: 0.8f) { TopK = 40 },
            Request.TopKAndTopP => new(Temperature: 0.8f, TopP: 0.95f) { TopK = 40 },
            Request.MinP => new(Temperature: 0.8f) { MinP = 0.02f },
            Request.Penalties => new(Temperature: 0) { RepetitionPenalty = 1.1f, FrequencyPenalty = 0.1f },
            Request.Logprobs => new(Temperature: 0) { TopLogprobs = 20 },
            _ => new(Temperature: 0.8f),
        };
        GenerationRequest request = new() { Id = "b", Prompt = Enumerable.Range(0, 20_000).ToArray(), MaxTokens = 100, Sampling = sampling };
        _sequence = new Sequence(request, 100, TimeSpan.MaxValue);
        _sequence.Append(7);
    }

    [Benchmark]
    public int Sample()
    {
        _model.CopyTo(_row, 0);
        return Asks == Request.Copy ? 0 : _sampler.Sample(_sequence, _row, out _);
    }
}
