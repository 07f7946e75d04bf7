namespace K2Cluster.Checkpoint.Synthetic;

/// <summary>
/// The tensors of a made-up model and how their values are spread. Each matrix keeps the variance of what it multiplies; those
/// that add to the residual stream are smaller by the root of the additions, so that the stream stays within a small factor of
/// the embedding at any depth. The head gives logits of deviation 2: answers differ, and no token is certain.
/// </summary>
internal sealed class SyntheticWeights
{
    private const double NormDeviation = 0.1;
    private const double BiasDeviation = 0.05;
    private const double LogitDeviation = 2;

    private readonly ModelConfig _config;
    private readonly TensorCatalog _catalog;
    private readonly double _residualGain;
    private readonly Dictionary<(double Mean, double Deviation), RandomFill> _normals = [];
    private readonly Dictionary<double, RandomFill> _scales = [];
    private List<SyntheticTensor> _tensors = [];

    private SyntheticWeights(ModelConfig config)
    {
        _config = config;
        _catalog = new TensorCatalog(config);
        _residualGain = 1 / Math.Sqrt(2.0 * config.LayerCount);
    }

    /// <summary>The tensors of each file: one a layer, and one for embedding, head and last norm.</summary>
    public static IEnumerable<IReadOnlyList<SyntheticTensor>> ByFile(ModelConfig config)
    {
        SyntheticWeights weights = new(config);
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            weights.AddLayer(layer);
            yield return weights.Take();
        }

        weights.Add(weights._catalog.Embedding, weights.Normal(0, 1), config.VocabularySize, config.HiddenSize);
        weights.Linear(weights._catalog.Head, config.VocabularySize, config.HiddenSize, LogitDeviation);
        weights.Norm(weights._catalog.FinalNorm, config.HiddenSize);
        yield return weights.Take();
    }

    /// <summary>The most that there can be, without making them.</summary>
    public static long Count(ModelConfig config)
    {
        const int OfEnds = 3;
        const int OfLayer = 14;
        long perExpert = config.Quantization is null ? 3 : 9;
        long moeLayers = Enumerable.Range(0, config.LayerCount).Count(config.IsMoeLayer);
        return OfEnds + (OfLayer * (long)config.LayerCount) + (moeLayers * config.RoutedExperts * perExpert);
    }

    private List<SyntheticTensor> Take()
    {
        List<SyntheticTensor> taken = _tensors;
        _tensors = [];
        return taken;
    }

    private void AddLayer(int layer)
    {
        int hidden = _config.HiddenSize;
        int queries = _config.HeadCount * _config.QkHeadDim;
        Norm(At("input_layernorm.weight"), hidden);
        Norm(At("post_attention_layernorm.weight"), hidden);
        if (_config.QueryLoraRank is int rank)
        {
            Linear(At("self_attn.q_a_proj.weight"), rank, hidden);
            Norm(At("self_attn.q_a_layernorm.weight"), rank);
            Linear(At("self_attn.q_b_proj.weight"), queries, rank);
        }
        else
        {
            Linear(At("self_attn.q_proj.weight"), queries, hidden);
        }

        Linear(At("self_attn.kv_a_proj_with_mqa.weight"), _config.KvLoraRank + _config.QkRopeHeadDim, hidden);
        Norm(At("self_attn.kv_a_layernorm.weight"), _config.KvLoraRank);
        Linear(At("self_attn.kv_b_proj.weight"), _config.HeadCount * (_config.QkNopeHeadDim + _config.ValueHeadDim), _config.KvLoraRank);
        Linear(At("self_attn.o_proj.weight"), hidden, _config.HeadCount * _config.ValueHeadDim, _residualGain);
        if (!_config.IsMoeLayer(layer))
        {
            Mlp(At("mlp"), _config.IntermediateSize);
            return;
        }

        Linear(At("mlp.gate.weight"), _config.RoutedExperts, hidden);
        _tensors.Add(new SyntheticTensor(At("mlp.gate.e_score_correction_bias"), TensorType.F32, [_config.RoutedExperts], RandomFill.NormalSingle(BiasDeviation)));
        Mlp(At("mlp.shared_experts"), _config.SharedExperts * _config.MoeIntermediateSize);
        for (int expert = 0; expert < _config.RoutedExperts; expert++)
        {
            if (_config.Quantization is null)
            {
                Mlp(At($"mlp.experts.{expert}"), _config.MoeIntermediateSize);
                continue;
            }

            Packed(layer, expert, "gate_proj", _config.MoeIntermediateSize, hidden, 1);
            Packed(layer, expert, "up_proj", _config.MoeIntermediateSize, hidden, 1);
            Packed(layer, expert, "down_proj", hidden, _config.MoeIntermediateSize, _residualGain);
        }

        string At(string suffix) => _catalog.Layer(layer, suffix);
    }

    private void Mlp(string module, int width)
    {
        Linear($"{module}.gate_proj.weight", width, _config.HiddenSize);
        Linear($"{module}.up_proj.weight", width, _config.HiddenSize);
        Linear($"{module}.down_proj.weight", _config.HiddenSize, width, _residualGain);
    }

    private void Packed(int layer, int expert, string projection, int output, int input, double gain)
    {
        double scale = gain / (RandomFill.Int4Deviation * Math.Sqrt(input));
        _tensors.Add(new SyntheticTensor(_catalog.Expert(layer, expert, projection, "weight_packed"), TensorType.I32, [output, input / QuantizationConfig.WeightsPerWord], RandomFill.Int4()));
        if (!_scales.TryGetValue(scale, out RandomFill? scales))
            _scales[scale] = scales = RandomFill.Scales(scale);
        Add(_catalog.Expert(layer, expert, projection, "weight_scale"), scales, output, input / QuantizationConfig.GroupSize);
        _tensors.Add(new SyntheticTensor(_catalog.Expert(layer, expert, projection, "weight_shape"), TensorType.I32, [2], RandomFill.Shape(output, input)));
    }

    private void Norm(string name, int size) => Add(name, Normal(1, NormDeviation), size);

    private void Linear(string name, int output, int input, double gain = 1) => Add(name, Normal(0, gain / Math.Sqrt(input)), output, input);

    private RandomFill Normal(double mean, double deviation) =>
        _normals.TryGetValue((mean, deviation), out RandomFill? known) ? known : _normals[(mean, deviation)] = RandomFill.Normal(mean, deviation);

    private void Add(string name, RandomFill fill, params int[] shape) => _tensors.Add(new SyntheticTensor(name, TensorType.BF16, shape, fill));
}
