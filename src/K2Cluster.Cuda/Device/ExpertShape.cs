using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cuda.Device;

/// <summary>The sizes of a model's experts, as the checkpoint has them and as the kernels want them (kernels/README.md).</summary>
internal sealed record ExpertShape
{
    /// <summary>Inputs that the kernels read at a time; rows of weights are padded to a multiple of them.</summary>
    public const int BlockInputs = 128;

    /// <summary>Weights of 16 rows and 128 inputs: 4 bits each, and a scale of 16 bits for every 32.</summary>
    public const int Int4BlockBytes = (16 * BlockInputs / 2) + (16 * BlockInputs / 32 * sizeof(ushort));

    /// <summary>The same in BF16.</summary>
    public const int Bf16BlockBytes = 16 * BlockInputs * sizeof(ushort);

    /// <summary>What starts in device memory starts at a multiple of this.</summary>
    public const int Alignment = 256;

    private const int Unit = 32;

    public ExpertShape(ModelConfig config, bool isInt4)
    {
        (Hidden, Intermediate, Layers, Experts, IsInt4) = (config.HiddenSize, config.MoeIntermediateSize, config.LayerCount, config.RoutedExperts, isInt4);
        if (Hidden % Unit != 0 || Intermediate % Unit != 0)
            throw new CheckpointException($"config.json: hidden_size {Hidden} and moe_intermediate_size {Intermediate} must be multiples of {Unit} for experts on a GPU.");
    }

    public int Hidden { get; }

    public int Intermediate { get; }

    public int Layers { get; }

    /// <summary>Of a layer.</summary>
    public int Experts { get; }

    public bool IsInt4 { get; }

    /// <summary>Bytes of the gate's and the up projection's rows, interleaved, in a slot.</summary>
    public long GateUpBytes => Intermediate / 8 * Blocks(Hidden) * BlockBytes;

    /// <summary>Bytes of an expert in device memory.</summary>
    public long SlotBytes => Align(GateUpBytes + (Hidden / 16 * Blocks(Intermediate) * BlockBytes));

    private long BlockBytes => IsInt4 ? Int4BlockBytes : Bf16BlockBytes;

    public static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    /// <summary>An expert's place in the table; negative when the model has no such expert.</summary>
    public int IndexOf(ExpertKey key) =>
        (uint)key.Layer < (uint)Layers && (uint)key.Expert < (uint)Experts ? (key.Layer * Experts) + key.Expert : -1;

    private static long Blocks(int inputs) => (inputs + BlockInputs - 1) / BlockInputs;
}
