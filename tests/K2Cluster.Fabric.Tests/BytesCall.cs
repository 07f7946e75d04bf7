namespace K2Cluster.Fabric.Tests;

/// <summary>A call whose result is the reply's head and payload, one after the other.</summary>
internal sealed class BytesCall : FabricCall<byte[]>
{
    protected override byte[] Read(ReadOnlySpan<byte> head, PooledBytes payload)
    {
        byte[] result = [.. head, .. payload.Span];
        payload.Return();
        return result;
    }

    protected override void Release()
    {
    }
}
