using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;

namespace K2Cluster.Benchmarks;

/// <summary>Reads memory as fast as the threads can: what no kernel that must read its weights can beat.</summary>
internal sealed unsafe class ReadCeiling : IDisposable
{
    private const int PartBytes = 1 << 20;

    private readonly byte* _memory;
    private readonly long _bytes;
    private readonly long _set;
    private readonly long[] _sinks;
    private long _next;

    /// <param name="bytes">Bytes of one reading.</param>
    /// <param name="copies">How many such pieces the readings go round, so that caches do not hold them.</param>
    public ReadCeiling(long bytes, int copies)
    {
        _bytes = bytes;
        _set = bytes * copies;
        _memory = (byte*)NativeMemory.AlignedAlloc((nuint)_set, 64);
        new Span<byte>(_memory, checked((int)_set)).Fill(1);
        _sinks = new long[(bytes + PartBytes - 1) / PartBytes];
    }

    public void Read(CpuCompute compute)
    {
        compute.Run(new Work(_memory + _next, _bytes, _sinks), _sinks.Length);
        _next = (_next + _bytes) % _set;
    }

    public void Dispose() => NativeMemory.AlignedFree(_memory);

    private readonly struct Work(byte* start, long bytes, long[] sinks) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            byte* from = start + (long)part * PartBytes;
            byte* end = start + Math.Min(bytes, (part + 1L) * PartBytes);
            Vector256<long> a = default, b = default, c = default, d = default;
            for (; from + 128 <= end; from += 128)
            {
                a |= Vector256.Load((long*)from);
                b |= Vector256.Load((long*)(from + 32));
                c |= Vector256.Load((long*)(from + 64));
                d |= Vector256.Load((long*)(from + 96));
            }

            sinks[part] = (a | b | c | d).GetElement(0);
        }
    }
}
