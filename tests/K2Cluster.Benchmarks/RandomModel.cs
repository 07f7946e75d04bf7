using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Benchmarks;

/// <summary>A whole model of random weights, made as they are read: BF16 with INT4 experts, of the shape bench-4b.</summary>
internal sealed class RandomModel : ITensorSource
{
    private const int PatternBytes = 1 << 22;

    private readonly Dictionary<string, TensorInfo> _tensors = [];
    private readonly byte[] _weights = new byte[PatternBytes];
    private readonly byte[] _packed = new byte[PatternBytes];

    public RandomModel()
    {
        Config = new ModelConfig
        {
            ModelType = "kimi_k2",
            TensorPrefix = "",
            HiddenSize = 2048,
            LayerCount = 12,
            FirstDenseLayers = 1,
            MoeLayerFrequency = 1,
            RoutedExperts = 64,
            ExpertsPerToken = 8,
            SharedExperts = 1,
            MoeIntermediateSize = 768,
            IntermediateSize = 6144,
            QueryLoraRank = 768,
            KvLoraRank = 512,
            QkNopeHeadDim = 128,
            QkRopeHeadDim = 64,
            ValueHeadDim = 128,
            HeadCount = 16,
            RopeTheta = 50000,
            RopeScaling = null,
            MaxPositions = 1 << 17,
            RmsNormEpsilon = 1e-5,
            VocabularySize = 32768,
            Groups = 1,
            TopKGroups = 1,
            NormaliseTopK = true,
            RoutedScalingFactor = 2.827,
            TieEmbeddings = false,
            Quantization = new QuantizationConfig("config.json", ["re:.*self_attn.*", "re:.*shared_experts.*", @"re:.*mlp\.(gate|up|gate_up|down)_proj.*", "lm_head"]),
        };
        Catalog = new TensorCatalog(Config);
        Random random = new(1);
        random.NextBytes(_packed);
        Span<ushort> weights = MemoryMarshal.Cast<byte, ushort>(_weights.AsSpan());
        for (int i = 0; i < weights.Length; i++)
            weights[i] = Bf16.FromSingle((random.NextSingle() - 0.5f) * 0.07f);
        AddAll();
    }

    public ModelConfig Config { get; }

    public TensorCatalog Catalog { get; }

    public IEnumerable<TensorInfo> Tensors => _tensors.Values;

    public bool TryGet(string name, [NotNullWhen(true)] out TensorInfo? tensor) => _tensors.TryGetValue(name, out tensor);

    public string Locate(string name) => "random";

    public void Read(TensorInfo tensor, long offset, Span<byte> destination)
    {
        if (tensor.Shape.Count == 1 && tensor.Type == TensorType.BF16)
        {
            MemoryMarshal.Cast<byte, ushort>(destination).Fill(Bf16.FromSingle(1));
            return;
        }

        if (tensor.Name.EndsWith("weight_shape", StringComparison.Ordinal))
        {
            IReadOnlyList<long> packed = _tensors[tensor.Name.Replace("weight_shape", "weight_packed", StringComparison.Ordinal)].Shape;
            Span<int> stated = MemoryMarshal.Cast<byte, int>(destination);
            stated[0] = (int)packed[0];
            stated[1] = (int)packed[1] * QuantizationConfig.WeightsPerWord;
            return;
        }

        if (tensor.Name.EndsWith("weight_scale", StringComparison.Ordinal))
        {
            MemoryMarshal.Cast<byte, ushort>(destination).Fill(Bf16.FromSingle(0.004f));
            return;
        }

        // Each tensor begins elsewhere in the pattern, so that no two are alike.
        byte[] pattern = tensor.Type == TensorType.I32 ? _packed : _weights;
        long at = (offset + (tensor.Offset * 4099L * 64)) % PatternBytes;
        while (!destination.IsEmpty)
        {
            int count = (int)Math.Min(destination.Length, PatternBytes - at);
            pattern.AsSpan((int)at, count).CopyTo(destination);
            destination = destination[count..];
            at = 0;
        }
    }

    public void Dispose()
    {
    }

    private void AddAll()
    {
        int hidden = Config.HiddenSize;
        Add(Catalog.Embedding, TensorType.BF16, Config.VocabularySize, hidden);
        Add(Catalog.Head, TensorType.BF16, Config.VocabularySize, hidden);
        Add(Catalog.FinalNorm, TensorType.BF16, hidden);
        for (int layer = 0; layer < Config.LayerCount; layer++)
        {
            int rank = Config.QueryLoraRank!.Value;
            AddLayer(layer, "input_layernorm", hidden);
            AddLayer(layer, "post_attention_layernorm", hidden);
            AddLayer(layer, "self_attn.q_a_proj", rank, hidden);
            AddLayer(layer, "self_attn.q_a_layernorm", rank);
            AddLayer(layer, "self_attn.q_b_proj", Config.HeadCount * Config.QkHeadDim, rank);
            AddLayer(layer, "self_attn.kv_a_proj_with_mqa", Config.KvLoraRank + Config.QkRopeHeadDim, hidden);
            AddLayer(layer, "self_attn.kv_a_layernorm", Config.KvLoraRank);
            AddLayer(layer, "self_attn.kv_b_proj", Config.HeadCount * (Config.QkNopeHeadDim + Config.ValueHeadDim), Config.KvLoraRank);
            AddLayer(layer, "self_attn.o_proj", hidden, Config.HeadCount * Config.ValueHeadDim);
            bool isMoe = Config.IsMoeLayer(layer);
            string mlp = isMoe ? "mlp.shared_experts" : "mlp";
            int width = isMoe ? Config.SharedExperts * Config.MoeIntermediateSize : Config.IntermediateSize;
            AddLayer(layer, $"{mlp}.gate_proj", width, hidden);
            AddLayer(layer, $"{mlp}.up_proj", width, hidden);
            AddLayer(layer, $"{mlp}.down_proj", hidden, width);
            if (!isMoe)
                continue;
            AddLayer(layer, "mlp.gate", Config.RoutedExperts, hidden);
            Add(Catalog.Layer(layer, "mlp.gate.e_score_correction_bias"), TensorType.BF16, Config.RoutedExperts);
            for (int expert = 0; expert < Config.RoutedExperts; expert++)
            {
                AddExpert(layer, expert, "gate_proj", Config.MoeIntermediateSize, hidden);
                AddExpert(layer, expert, "up_proj", Config.MoeIntermediateSize, hidden);
                AddExpert(layer, expert, "down_proj", hidden, Config.MoeIntermediateSize);
            }
        }
    }

    private void AddLayer(int layer, string module, params long[] shape) => Add(Catalog.Layer(layer, $"{module}.weight"), TensorType.BF16, shape);

    private void AddExpert(int layer, int expert, string projection, int rows, int columns)
    {
        Add(Catalog.Expert(layer, expert, projection, "weight_packed"), TensorType.I32, rows, columns / QuantizationConfig.WeightsPerWord);
        Add(Catalog.Expert(layer, expert, projection, "weight_scale"), TensorType.BF16, rows, columns / QuantizationConfig.GroupSize);
        Add(Catalog.Expert(layer, expert, projection, "weight_shape"), TensorType.I32, 2);
    }

    private void Add(string name, TensorType type, params long[] shape)
    {
        long bytes = shape.Aggregate(type == TensorType.BF16 ? 2L : 4L, (product, size) => product * size);
        _tensors[name] = new TensorInfo(name, type, shape, 0, _tensors.Count, bytes);
    }
}
