using System.Runtime.InteropServices;

namespace K2Cluster.Cuda.Device;

/// <summary>What the kernels are told of a call, at the start of its input: sizes that change lie here, so that no graph does (kernels/README.md).</summary>
[StructLayout(LayoutKind.Sequential, Size = Bytes)]
internal struct ForwardHeader
{
    public const int Bytes = 256;

    public int Pairs;
    public int Rows;
    public int Layer;
    public int RowsPerBlock;
}
