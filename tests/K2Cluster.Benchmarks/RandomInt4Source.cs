using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;

namespace K2Cluster.Benchmarks;

/// <summary>Experts with random INT4 weights, made as they are read.</summary>
internal sealed class RandomInt4Source : ITensorSource
{
    private readonly Dictionary<string, TensorInfo> _tensors = [];
    private readonly Random _random = new(1);

    public RandomInt4Source(int hiddenSize, int intermediateSize, int experts)
    {
        Config = new ModelConfig
        {
            ModelType = "kimi_k2",
            TensorPrefix = "",
            HiddenSize = hiddenSize,
            LayerCount = 1,
            FirstDenseLayers = 0,
            MoeLayerFrequency = 1,
            RoutedExperts = experts,
            ExpertsPerToken = 1,
            SharedExperts = 1,
            MoeIntermediateSize = intermediateSize,
            IntermediateSize = intermediateSize,
            QueryLoraRank = null,
            KvLoraRank = 512,
            QkNopeHeadDim = 128,
            QkRopeHeadDim = 64,
            ValueHeadDim = 128,
            HeadCount = 64,
            RopeTheta = 50000,
            RopeScaling = null,
            MaxPositions = 4096,
            RmsNormEpsilon = 1e-5,
            VocabularySize = 2048,
            Groups = 1,
            TopKGroups = 1,
            NormaliseTopK = true,
            RoutedScalingFactor = 1,
            TieEmbeddings = false,
            Quantization = new QuantizationConfig("config.json", []),
        };
        Catalog = new TensorCatalog(Config);
        for (int expert = 0; expert < experts; expert++)
        {
            Add(expert, "gate_proj", intermediateSize, hiddenSize);
            Add(expert, "up_proj", intermediateSize, hiddenSize);
            Add(expert, "down_proj", hiddenSize, intermediateSize);
        }
    }

    public ModelConfig Config { get; }

    public TensorCatalog Catalog { get; }

    public IEnumerable<TensorInfo> Tensors => _tensors.Values;

    public bool TryGet(string name, [NotNullWhen(true)] out TensorInfo? tensor) => _tensors.TryGetValue(name, out tensor);

    public string Locate(string name) => "random";

    public void Read(TensorInfo tensor, long offset, Span<byte> destination)
    {
        if (tensor.Type == TensorType.BF16)
            MemoryMarshal.Cast<byte, ushort>(destination).Fill(0x3B00);
        else if (tensor.Name.EndsWith("weight_shape", StringComparison.Ordinal))
            Shape(tensor.Name).CopyTo(MemoryMarshal.Cast<byte, int>(destination));
        else
            _random.NextBytes(destination);
    }

    public void Dispose()
    {
    }

    private int[] Shape(string name)
    {
        IReadOnlyList<long> packed = _tensors[name.Replace("weight_shape", "weight_packed", StringComparison.Ordinal)].Shape;
        return [(int)packed[0], (int)packed[1] * QuantizationConfig.WeightsPerWord];
    }

    private void Add(int expert, string projection, int rows, int columns)
    {
        Add(expert, projection, "weight_packed", TensorType.I32, rows, columns / QuantizationConfig.WeightsPerWord);
        Add(expert, projection, "weight_scale", TensorType.BF16, rows, columns / QuantizationConfig.GroupSize);
        Add(expert, projection, "weight_shape", TensorType.I32, 2);
    }

    private void Add(int expert, string projection, string part, TensorType type, params long[] shape)
    {
        string name = Catalog.Expert(0, expert, projection, part);
        long bytes = shape.Aggregate(type == TensorType.BF16 ? 2L : 4L, (product, size) => product * size);
        _tensors[name] = new TensorInfo(name, type, shape, 0, 0, bytes);
    }
}
