using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cuda.Device;

/// <summary>An expert of a checkpoint, whose tensors were checked.</summary>
internal sealed class CheckpointExpert : IExpertReader
{
    private static readonly string[] Projections = ["gate_proj", "up_proj", "down_proj"];

    private readonly ITensorSource _source;
    private readonly TensorInfo?[] _tensors = new TensorInfo?[6];

    /// <exception cref="CheckpointException">A tensor is missing, or wrong.</exception>
    public CheckpointExpert(TensorCatalog catalog, ITensorSource source, ExpertKey key, bool isInt4)
    {
        _source = source;
        catalog.CheckExpert(source, key.Layer, key.Expert);
        if (catalog.IsExpertQuantized(key.Layer, key.Expert) != isInt4)
            throw new CheckpointException($"config.json: expert {key.Expert} of layer {key.Layer} is {(isInt4 ? "BF16" : "INT4")} and others are not; quantization_config.ignore must name all routed experts or none.");
        for (int i = 0; i < Projections.Length; i++)
        {
            _tensors[2 * i] = Find(isInt4 ? "weight_packed" : "weight");
            if (isInt4)
                _tensors[(2 * i) + 1] = Find("weight_scale");

            TensorInfo Find(string part)
            {
                string name = catalog.Expert(key.Layer, key.Expert, Projections[i], part);
                return source.TryGet(name, out TensorInfo? tensor) ? tensor : throw new CheckpointException($"{source.Locate(name)}: tensor {name} is missing.");
            }
        }
    }

    public void Read(ExpertPart part, long offset, Span<byte> destination) => _source.Read(_tensors[(int)part]!, offset, destination);
}
