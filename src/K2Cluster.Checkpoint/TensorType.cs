namespace K2Cluster.Checkpoint;

/// <summary>Element types of a safetensors file that a K2 checkpoint uses. Others are listed as <see cref="Other"/> and never read.</summary>
public enum TensorType
{
    Other,
    BF16,
    F32,
    I32,
    I64,
}
