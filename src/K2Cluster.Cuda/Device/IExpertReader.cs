namespace K2Cluster.Cuda.Device;

/// <summary>Gives an expert's bytes as a checkpoint has them.</summary>
internal interface IExpertReader
{
    void Read(ExpertPart part, long offset, Span<byte> destination);
}
