namespace K2Cluster.Fabric.Connections;

/// <summary>A call for which there is no room yet, with all that is to be sent.</summary>
internal sealed record WaitingCall(FabricCall Call, byte[] Head, PooledBytes Payload, int ReplyBytes)
{
    /// <summary>What it takes of what may be in flight.</summary>
    public long Bytes => (long)Payload.Length + ReplyBytes;
}
