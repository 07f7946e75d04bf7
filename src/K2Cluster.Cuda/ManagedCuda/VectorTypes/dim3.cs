namespace ManagedCuda.VectorTypes;

/// <summary>The extent of a grid or of a block of threads.</summary>
public struct dim3(uint x, uint y, uint z)
{
    public uint x = x;
    public uint y = y;
    public uint z = z;

    public dim3(uint x)
        : this(x, 1, 1)
    {
    }

    public dim3(uint x, uint y)
        : this(x, y, 1)
    {
    }
}
