using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Tests.Devices;
using K2Cluster.PtxEmulator.FakeDriver;
using ManagedCuda;

namespace K2Cluster.Cuda.Tests.Device;

/// <summary>What the tests over the fake driver share: one machine for each, and at its end nothing wrong done and nothing left.</summary>
[Collection(nameof(DriverLibrary))]
public abstract class FakeDriverTest : IDisposable
{
    private FakeMachine? _machine;

    protected FakeMachine Machine => _machine ??= Install(new FakeGpu { MemoryBytes = 64 << 20 });

    protected FakeMachine Install(params FakeGpu[] gpus) => _machine = FakeMachine.Install(gpus);

    private protected CudaExpertDevice Open(RandomExperts model, long? memory = null, int ordinal = 0)
    {
        _ = Machine;
        return new CudaExpertDevice(CudaCards.Find().All[ordinal], model.Config, model.Catalog, memory);
    }

    /// <summary>Puts rows and pairs into a work and computes it.</summary>
    protected static void Forward(CudaExpertDevice device, ExpertWork work, int layer, ReadOnlySpan<ushort> rows, params ReadOnlySpan<(int Row, int Expert)> pairs)
    {
        ArgumentNullException.ThrowIfNull(device);
        ArgumentNullException.ThrowIfNull(work);
        work.Reset(layer, rows.Length / work.HiddenSize, pairs.Length);
        rows.CopyTo(work.Hidden);
        for (int i = 0; i < pairs.Length; i++)
            (work.PairRows[i], work.PairExperts[i]) = pairs[i];
        device.Forward(work);
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
        if (_machine is null)
            return;
        string[] wrong = [.. _machine.Faults, .. _machine.Leaks];
        _machine.Dispose();
        Assert.Empty(wrong);
    }
}
