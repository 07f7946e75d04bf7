namespace ManagedCuda.VectorTypes;

public struct dim3
{
    public uint x;
    public uint y;
    public uint z;

    public dim3(uint xValue, uint yValue, uint zValue) => throw null!;

    public dim3(uint xValue, uint yValue) => throw null!;

    public dim3(uint xValue) => throw null!;

    public dim3(int xValue, int yValue, int zValue) => throw null!;

    public dim3(int xValue, int yValue) => throw null!;

    public dim3(int xValue) => throw null!;
}
