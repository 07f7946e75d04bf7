using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Kernels.Compute;

/// <summary>
/// Work that <see cref="CpuCompute.Run{TWork}"/> splits over its threads. A struct, so that the JIT specialises each kernel;
/// it carries pointers that stay valid until Run returns.
/// </summary>
public interface ICpuWork
{
    /// <summary>
    /// Does part <paramref name="part"/>. Parts run in any order, on any thread, at the same time: what a part writes must
    /// be its own, and its bits must not depend on how many parts there are.
    /// </summary>
    void Part<TLanes>(int part)
        where TLanes : struct, ILanes<TLanes>;
}
