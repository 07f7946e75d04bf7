using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Verification;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck;

/// <summary>Brings an expert into a slot: copied as a checkpoint has it, then shuffled by the card.</summary>
internal static class ExpertLoader
{
    /// <param name="sizes">Of the expert.</param>
    /// <param name="expert">The expert.</param>
    /// <param name="slot">Where to.</param>
    /// <param name="launch">Launches the shuffle of one stream and waits for it.</param>
    public static void Shuffle(ExpertSizes sizes, HostExpert expert, CUdeviceptr slot, Action<object[]> launch)
    {
        using DisposableStack owned = new();
        CUdeviceptr[] at = new CUdeviceptr[6];
        for (int part = 0; part < at.Length; part++)
        {
            byte[] bytes = expert[(ExpertPart)part];
            if (bytes.Length == 0)
                continue;
            CudaDeviceVariable<byte> staged = owned.Add(new CudaDeviceVariable<byte>(bytes.Length));
            staged.CopyToDevice(bytes);
            at[part] = staged.DevicePointer;
        }

        (int hidden, int intermediate) = (sizes.Hidden, sizes.Intermediate);
        CUdeviceptr down = slot + sizes.GateUpBytes;
        if (sizes.IsInt4)
        {
            launch([at[0], at[1], at[2], at[3], slot, (uint)(intermediate / 8), 8u, (uint)hidden]);
            launch([at[4], at[5], at[4] + (4L * intermediate), at[5] + (intermediate / 2), down, (uint)(hidden / 16), 16u, (uint)intermediate]);
        }
        else
        {
            launch([at[0], at[2], slot, (uint)(intermediate / 8), 8u, (uint)hidden]);
            launch([at[4], at[4] + (16L * intermediate), down, (uint)(hidden / 16), 16u, (uint)intermediate]);
        }
    }
}
