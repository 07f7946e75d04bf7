using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Tests.Devices;

/// <summary>A small model's routed experts with random weights, in memory, and their exact answers.</summary>
internal sealed class RandomExperts : ITensorSource
{
    private static readonly string[] Projections = ["gate_proj", "up_proj", "down_proj"];

    private readonly Dictionary<string, (TensorInfo Info, byte[] Data)> _tensors = [];
    private readonly bool _int4;

    public RandomExperts(bool int4, int hidden, int intermediate, int experts, int layers = 2, int seed = 1)
    {
        _int4 = int4;
        Config = new ModelConfig
        {
            ModelType = "kimi_k2",
            TensorPrefix = "",
            HiddenSize = hidden,
            LayerCount = layers,
            FirstDenseLayers = 1,
            MoeLayerFrequency = 1,
            RoutedExperts = experts,
            ExpertsPerToken = Math.Min(4, experts),
            SharedExperts = 1,
            MoeIntermediateSize = intermediate,
            IntermediateSize = intermediate,
            QueryLoraRank = null,
            KvLoraRank = 32,
            QkNopeHeadDim = 16,
            QkRopeHeadDim = 8,
            ValueHeadDim = 16,
            HeadCount = 2,
            RopeTheta = 50000,
            RopeScaling = null,
            MaxPositions = 128,
            RmsNormEpsilon = 1e-5,
            VocabularySize = 64,
            Groups = 1,
            TopKGroups = 1,
            NormaliseTopK = true,
            RoutedScalingFactor = 1,
            TieEmbeddings = false,
            Quantization = int4 ? new QuantizationConfig("config.json", []) : null,
        };
        Catalog = new TensorCatalog(Config);
        Random random = new(seed);
        for (int layer = 1; layer < layers; layer++)
        {
            for (int expert = 0; expert < experts; expert++)
                AddExpert(layer, expert, random);
        }
    }

    public ModelConfig Config { get; }

    public TensorCatalog Catalog { get; }

    public IEnumerable<TensorInfo> Tensors => _tensors.Values.Select(tensor => tensor.Info);

    public bool TryGet(string name, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TensorInfo? tensor)
    {
        bool found = _tensors.TryGetValue(name, out (TensorInfo Info, byte[] Data) entry);
        tensor = entry.Info;
        return found;
    }

    public string Locate(string name) => "memory";

    public void Read(TensorInfo tensor, long offset, Span<byte> destination) =>
        _tensors[tensor.Name].Data.AsSpan((int)offset, destination.Length).CopyTo(destination);

    public void Remove(string name) => _tensors.Remove(name);

    public void Dispose()
    {
    }

    /// <summary>FP64 from the weights as stored.</summary>
    public double[] Exact(int layer, int expert, ReadOnlySpan<ushort> hidden)
    {
        double[] x = [.. Samples.Widen(hidden).Select(value => (double)value)];
        double[] gate = Product(layer, expert, "gate_proj", x, Config.MoeIntermediateSize);
        double[] up = Product(layer, expert, "up_proj", x, Config.MoeIntermediateSize);
        double[] middle = [.. gate.Zip(up, (g, u) => g / (1 + Math.Exp(-g)) * u)];
        return Product(layer, expert, "down_proj", middle, Config.HiddenSize);
    }

    public double[] Product(int layer, int expert, string projection, double[] x, int rows)
    {
        double[] result = new double[rows];
        for (int r = 0; r < rows; r++)
        {
            for (int k = 0; k < x.Length; k++)
                result[r] += Weight(layer, expert, projection, r, k, x.Length) * x[k];
        }

        return result;
    }

    private double Weight(int layer, int expert, string projection, int row, int column, int columns)
    {
        if (!_int4)
            return Bf16.ToSingle(Words<ushort>(layer, expert, projection, "weight")[row * columns + column]);
        uint word = Words<uint>(layer, expert, projection, "weight_packed")[row * (columns / 8) + column / 8];
        float scale = Bf16.ToSingle(Words<ushort>(layer, expert, projection, "weight_scale")[row * (columns / 32) + column / 32]);
        return ((int)(word >> (4 * (column % 8)) & 15) - 8) * (double)scale;
    }

    private ReadOnlySpan<T> Words<T>(int layer, int expert, string projection, string part)
        where T : unmanaged => MemoryMarshal.Cast<byte, T>(_tensors[Catalog.Expert(layer, expert, projection, part)].Data);

    private void AddExpert(int layer, int expert, Random random)
    {
        foreach (string projection in Projections)
        {
            bool down = projection == "down_proj";
            int rows = down ? Config.HiddenSize : Config.MoeIntermediateSize;
            int columns = down ? Config.MoeIntermediateSize : Config.HiddenSize;
            float size = 1 / MathF.Sqrt(columns);
            if (!_int4)
            {
                Add(layer, expert, projection, "weight", TensorType.BF16, Samples.GaussianBf16(rows * columns, random.Next(), size), rows, columns);
                continue;
            }

            // All 16 values of a nibble, 0 (−8) among them; scales of either sign of exponent.
            uint[] words = new uint[rows * columns / 8];
            random.NextBytes(MemoryMarshal.AsBytes(words.AsSpan()));
            ushort[] scales = new ushort[rows * columns / 32];
            for (int i = 0; i < scales.Length; i++)
                scales[i] = Bf16.FromSingle(size * (0.05f + 0.3f * random.NextSingle()));
            Add(layer, expert, projection, "weight_packed", TensorType.I32, words, rows, columns / 8);
            Add(layer, expert, projection, "weight_scale", TensorType.BF16, scales, rows, columns / 32);
            Add(layer, expert, projection, "weight_shape", TensorType.I32, new[] { rows, columns }, 2);
        }
    }

    private void Add<T>(int layer, int expert, string projection, string part, TensorType type, T[] values, params long[] shape)
        where T : unmanaged
    {
        byte[] data = MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
        string name = Catalog.Expert(layer, expert, projection, part);
        _tensors[name] = (new TensorInfo(name, type, shape, 0, 0, data.Length), data);
    }
}
