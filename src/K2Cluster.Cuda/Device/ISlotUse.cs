namespace K2Cluster.Cuda.Device;

/// <summary>Forwards that may still read a slot.</summary>
internal interface ISlotUse : IDisposable
{
    bool HasEnded { get; }

    void Wait();
}
