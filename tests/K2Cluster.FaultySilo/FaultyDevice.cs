using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.FaultySilo;

/// <summary>
/// A device with a cap on its pace, and with faults. While there is a file "nan", one expert of each layer gives a NaN; while
/// there is a file "hang", a forward that has begun does not end.
/// </summary>
internal sealed class FaultyDevice(IExpertDevice device, FaultSettings settings) : IExpertDevice
{
    private const ushort NaN = 0x7FC0;
    private const int NaNExpert = 0;

    private static readonly TimeSpan HangPoll = TimeSpan.FromMilliseconds(10);

    private readonly Pace? _pace = settings.PairsPerSecond > 0 ? new Pace(settings.PairsPerSecond) : null;

    public DeviceDescription Description => device.Description;

    public long ExpertBytes => device.ExpertBytes;

    public int LoadThreads => device.LoadThreads;

    public bool UsesHostThreads => device.UsesHostThreads;

    public string? Lost => device.Lost;

    public void Load(ExpertKey expert, ITensorSource source) => device.Load(expert, source);

    public bool Unload(ExpertKey expert) => device.Unload(expert);

    public bool Holds(ExpertKey expert) => device.Holds(expert);

    public void BindThread() => device.BindThread();

    public ExpertWork CreateWork(int maxRows, int maxPairs) => device.CreateWork(maxRows, maxPairs);

    public void Forward(ExpertWork work)
    {
        device.Forward(work);
        _pace?.Wait(work.Pairs);
        while (settings.IsOn("hang"))
            Thread.Sleep(HangPoll);
        if (!settings.IsOn("nan"))
            return;
        for (int pair = 0; pair < work.Pairs; pair++)
        {
            if (work.PairExperts[pair] == NaNExpert)
                work.Outputs[pair * work.HiddenSize] = NaN;
        }
    }

    public void Dispose() => device.Dispose();
}
