using System.Buffers.Binary;

namespace K2Cluster.Checkpoint;

/// <summary>
/// The tensors that a model has: names with the family's prefix, and the shapes and types that they must have.
/// Linear weights are [output, input]. Tensors that the catalog does not name, as <c>rotary_emb.inv_freq</c> or a
/// vision tower, are never read.
/// </summary>
public sealed class TensorCatalog
{
    private static readonly string[] ExpertProjections = ["gate_proj", "up_proj", "down_proj"];

    private readonly ModelConfig _config;
    private readonly string _model;

    public TensorCatalog(ModelConfig config)
    {
        _config = config;
        _model = config.TensorPrefix + "model.";
        Embedding = _model + "embed_tokens.weight";
        FinalNorm = _model + "norm.weight";
        Head = config.TieEmbeddings ? Embedding : config.TensorPrefix + "lm_head.weight";
    }

    /// <summary>BF16 [vocabulary, hidden].</summary>
    public string Embedding { get; }

    /// <summary>BF16 [hidden].</summary>
    public string FinalNorm { get; }

    /// <summary>BF16 [vocabulary, hidden]; the embedding itself where the two are tied.</summary>
    public string Head { get; }

    /// <summary>A tensor of a layer, for example <c>Layer(0, "self_attn.q_a_proj.weight")</c>.</summary>
    public string Layer(int layer, string suffix) => $"{_model}layers.{layer}.{suffix}";

    /// <summary>A tensor of a routed expert.</summary>
    /// <param name="layer">A layer with experts.</param>
    /// <param name="expert">From 0.</param>
    /// <param name="projection"><c>gate_proj</c>, <c>up_proj</c> or <c>down_proj</c>.</param>
    /// <param name="part"><c>weight</c> (BF16), or <c>weight_packed</c>, <c>weight_scale</c> and <c>weight_shape</c> (INT4).</param>
    public string Expert(int layer, int expert, string projection, string part) => $"{Module(layer, expert, projection)}.{part}";

    /// <summary>Whether an expert's weights are INT4 (else BF16), as the quantisation's list of exceptions decides.</summary>
    /// <exception cref="CheckpointException">Its three projections differ.</exception>
    public bool IsExpertQuantized(int layer, int expert)
    {
        if (_config.Quantization is not { } quantization)
            return false;

        int quantized = ExpertProjections.Count(projection => IsQuantized(Module(layer, expert, projection)));
        if (quantized is not (0 or 3))
            throw new CheckpointException($"{quantization.File}: quantization_config.ignore names some projections of {Layer(layer, $"mlp.experts.{expert}")} and not others; an expert is INT4 or BF16 as a whole.");
        return quantized == 3;
    }

    /// <summary>
    /// Checks that the trunk's part of the layers [<paramref name="firstLayer"/>, <paramref name="lastLayer"/>) is there
    /// with the right shapes and types; with the first layer also the embedding, with the last the final norm and the head.
    /// </summary>
    /// <returns>The bytes that those tensors take in their files.</returns>
    /// <exception cref="CheckpointException">A tensor is missing or wrong; the message names file and tensor.</exception>
    public long CheckTrunk(ITensorSource source, int firstLayer, int lastLayer)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstLayer);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(firstLayer, lastLayer);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(lastLayer, _config.LayerCount);

        int hidden = _config.HiddenSize;
        long bytes = 0;
        if (firstLayer == 0)
            bytes += Check(source, Embedding, [TensorType.BF16], _config.VocabularySize, hidden).ByteLength;
        for (int layer = firstLayer; layer < lastLayer; layer++)
            bytes += CheckLayer(source, layer);
        if (lastLayer == _config.LayerCount)
        {
            bytes += Check(source, FinalNorm, [TensorType.BF16], hidden).ByteLength;
            if (!_config.TieEmbeddings)
                bytes += CheckLinear(source, Head, _config.VocabularySize, hidden);
            else if (firstLayer > 0)
                bytes += Check(source, Head, [TensorType.BF16], _config.VocabularySize, hidden).ByteLength;
        }

        return bytes;
    }

    /// <summary>Checks that a routed expert's tensors are there with the right shapes and types. Reads <c>weight_shape</c>.</summary>
    /// <returns>The bytes that those tensors take in their files.</returns>
    /// <exception cref="CheckpointException">A tensor is missing or wrong; the message names file and tensor.</exception>
    public long CheckExpert(ITensorSource source, int layer, int expert)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expert);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(expert, _config.RoutedExperts);
        if (!_config.IsMoeLayer(layer) || layer >= _config.LayerCount)
            throw new ArgumentOutOfRangeException(nameof(layer), layer, "This layer has no routed experts.");

        bool quantized = IsExpertQuantized(layer, expert);
        long bytes = 0;
        foreach (string projection in ExpertProjections)
        {
            bool isDown = projection == "down_proj";
            int output = isDown ? _config.HiddenSize : _config.MoeIntermediateSize;
            int input = isDown ? _config.MoeIntermediateSize : _config.HiddenSize;
            if (!quantized)
            {
                bytes += Check(source, Expert(layer, expert, projection, "weight"), [TensorType.BF16], output, input).ByteLength;
                continue;
            }

            bytes += Check(source, Expert(layer, expert, projection, "weight_packed"), [TensorType.I32], output, input / QuantizationConfig.WeightsPerWord).ByteLength;
            bytes += Check(source, Expert(layer, expert, projection, "weight_scale"), [TensorType.BF16], output, input / QuantizationConfig.GroupSize).ByteLength;
            bytes += CheckStatedShape(source, Expert(layer, expert, projection, "weight_shape"), output, input);
        }

        return bytes;
    }

    private long CheckLayer(ITensorSource source, int layer)
    {
        int hidden = _config.HiddenSize;
        int queries = _config.HeadCount * _config.QkHeadDim;
        int keysAndValues = _config.HeadCount * (_config.QkNopeHeadDim + _config.ValueHeadDim);
        long bytes = 0;

        Norm("input_layernorm.weight", hidden);
        Norm("post_attention_layernorm.weight", hidden);
        if (_config.QueryLoraRank is int rank)
        {
            Linear("self_attn.q_a_proj.weight", rank, hidden);
            Norm("self_attn.q_a_layernorm.weight", rank);
            Linear("self_attn.q_b_proj.weight", queries, rank);
        }
        else
        {
            Linear("self_attn.q_proj.weight", queries, hidden);
        }

        Linear("self_attn.kv_a_proj_with_mqa.weight", _config.KvLoraRank + _config.QkRopeHeadDim, hidden);
        Norm("self_attn.kv_a_layernorm.weight", _config.KvLoraRank);
        Linear("self_attn.kv_b_proj.weight", keysAndValues, _config.KvLoraRank);
        Linear("self_attn.o_proj.weight", hidden, _config.HeadCount * _config.ValueHeadDim);
        if (!_config.IsMoeLayer(layer))
        {
            Mlp("mlp", _config.IntermediateSize);
            return bytes;
        }

        // The router is a plain parameter, not a linear module: the quantisation does not speak of it.
        bytes += Check(source, Layer(layer, "mlp.gate.weight"), [TensorType.BF16], _config.RoutedExperts, hidden).ByteLength;
        bytes += Check(source, Layer(layer, "mlp.gate.e_score_correction_bias"), [TensorType.F32, TensorType.BF16], _config.RoutedExperts).ByteLength;
        Mlp("mlp.shared_experts", _config.SharedExperts * _config.MoeIntermediateSize);
        return bytes;

        void Norm(string suffix, int size) => bytes += Check(source, Layer(layer, suffix), [TensorType.BF16], size).ByteLength;

        void Linear(string suffix, int output, int input) => bytes += CheckLinear(source, Layer(layer, suffix), output, input);

        void Mlp(string module, int width)
        {
            Linear($"{module}.gate_proj.weight", width, hidden);
            Linear($"{module}.up_proj.weight", width, hidden);
            Linear($"{module}.down_proj.weight", hidden, width);
        }
    }

    private long CheckLinear(ITensorSource source, string name, int output, int input)
    {
        string module = name[..^".weight".Length];
        if (IsQuantized(module))
            throw new CheckpointException($"{_config.Quantization!.File}: quantization_config.ignore does not name {module}: INT4 is supported for routed experts only.");
        return Check(source, name, [TensorType.BF16], output, input).ByteLength;
    }

    /// <summary>The list of exceptions names modules with the family's prefix or without.</summary>
    private bool IsQuantized(string module) =>
        _config.Quantization is { } quantization
        && quantization.Quantizes(module)
        && (_config.TensorPrefix.Length == 0 || quantization.Quantizes(module[_config.TensorPrefix.Length..]));

    private string Module(int layer, int expert, string projection) => $"{_model}layers.{layer}.mlp.experts.{expert}.{projection}";

    private static TensorInfo Check(ITensorSource source, string name, ReadOnlySpan<TensorType> types, params ReadOnlySpan<long> shape)
    {
        if (!source.TryGet(name, out TensorInfo? tensor))
            throw new CheckpointException($"{source.Locate(name)}: tensor {name} is missing.");
        if (!types.Contains(tensor.Type))
            throw Fault(source, name, $"is {(tensor.Type == TensorType.Other ? "of a type that is not supported" : tensor.Type)} where {types[0]} is expected");
        if (tensor.Shape.Count != shape.Length || !shape.SequenceEqual([.. tensor.Shape]))
            throw Fault(source, name, $"has shape [{string.Join(", ", tensor.Shape)}] where config.json asks for [{string.Join(", ", shape.ToArray())}]");
        return tensor;
    }

    /// <summary>compressed-tensors declares I32 and writes I64 where an exporter does not say otherwise: both are read.</summary>
    private static long CheckStatedShape(ITensorSource source, string name, int output, int input)
    {
        TensorInfo tensor = Check(source, name, [TensorType.I32, TensorType.I64], 2);
        Span<byte> bytes = stackalloc byte[2 * sizeof(long)];
        bytes = bytes[..(int)tensor.ByteLength];
        source.Read(tensor, 0, bytes);
        (long statedOutput, long statedInput) = tensor.Type == TensorType.I32
            ? (BinaryPrimitives.ReadInt32LittleEndian(bytes), BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]))
            : (BinaryPrimitives.ReadInt64LittleEndian(bytes), BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]));
        if (statedOutput != output || statedInput != input)
            throw Fault(source, name, $"states [{statedOutput}, {statedInput}] where config.json asks for [{output}, {input}]");
        return tensor.ByteLength;
    }

    private static CheckpointException Fault(ITensorSource source, string name, string problem) =>
        new($"{source.Locate(name)}: tensor {name} {problem}.");
}
