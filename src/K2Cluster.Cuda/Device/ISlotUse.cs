namespace K2Cluster.Cuda.Device;

/// <summary>Forwards that may still read a slot.</summary>
internal interface ISlotUse : IDisposable
{
    bool HasEnded { get; }

    /// <summary>Only until it is disposed, which those who ask for slots alone do.</summary>
    void Wait();
}
