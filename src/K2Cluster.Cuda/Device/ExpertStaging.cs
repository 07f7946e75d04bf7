using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.Cuda.Device;

/// <summary>
/// The way of an expert into a slot: read into pinned memory, two pieces in turn, so that a piece is read while the other is
/// copied; copied into device memory as the checkpoint has it; brought into the kernels' order there. All on a stream of its
/// own, beside the forwards. One expert at a time.
/// </summary>
internal sealed unsafe class ExpertStaging : IDisposable
{
    /// <summary>
    /// A forward's input waits for the piece that a card copies at the moment: at PCIe 4's 25 GB/s 1 MiB takes 40 µs (by calculation;
    /// no card has measured it), where a whole matrix of K2 would take 300. Two such pieces are all the pinned memory of a device's loads.
    /// </summary>
    internal const int PieceBytes = 1 << 20;

    private readonly ExpertKernels _kernels;
    private readonly long[] _sizes;
    private readonly long[] _offsets = new long[6];
    private readonly DisposableStack _owned = new();
    private readonly CudaStream _stream;
    private readonly CudaPageLockedHostMemory<byte>[] _pieces = new CudaPageLockedHostMemory<byte>[2];
    private readonly CudaEvent[] _copied = new CudaEvent[2];
    private readonly CudaEvent _done;
    private readonly CudaDeviceVariable<byte> _staged;

    /// <exception cref="CudaException">There is no memory for it.</exception>
    public ExpertStaging(ExpertKernels kernels, ExpertShape shape)
    {
        _kernels = kernels;
        _sizes = Sizes(shape);
        long bytes = 0;
        for (int part = 0; part < _sizes.Length; part++)
        {
            _offsets[part] = bytes;
            bytes += ExpertShape.Align(_sizes[part]);
        }

        try
        {
            _stream = _owned.Add(new CudaStream(CUStreamFlags.NonBlocking));
            _staged = _owned.Add(new CudaDeviceVariable<byte>(bytes));
            for (int i = 0; i < _pieces.Length; i++)
            {
                _pieces[i] = _owned.Add(new CudaPageLockedHostMemory<byte>(Math.Min(PieceBytes, ExpertShape.Align(_sizes.Max()))));
                _copied[i] = _owned.Add(new CudaEvent(CUEventFlags.BlockingSync | CUEventFlags.DisableTiming));
            }

            _done = _owned.Add(new CudaEvent(CUEventFlags.BlockingSync | CUEventFlags.DisableTiming));
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    /// <summary>Bytes of an expert's tensors in a checkpoint, by <see cref="ExpertPart"/>.</summary>
    public static long[] Sizes(ExpertShape shape)
    {
        long weights = (long)shape.Hidden * shape.Intermediate * (shape.IsInt4 ? 4 : 16) / 8;
        long scales = shape.IsInt4 ? (long)shape.Hidden * shape.Intermediate / 32 * sizeof(ushort) : 0;
        return [weights, scales, weights, scales, weights, scales];
    }

    /// <summary>Brings an expert into a slot and waits until it is there.</summary>
    /// <exception cref="CudaException">The device failed.</exception>
    public void Load(IExpertReader expert, CUdeviceptr slot)
    {
        int turn = 0;
        for (int part = 0; part < _sizes.Length; part++)
        {
            for (long at = 0; at < _sizes[part]; turn ^= 1)
            {
                CudaPageLockedHostMemory<byte> piece = _pieces[turn];
                int count = (int)Math.Min((long)(ulong)piece.SizeInBytes, _sizes[part] - at);
                _copied[turn].Synchronize(); // what was in it is on the device
                expert.Read((ExpertPart)part, at, new Span<byte>((void*)piece.PinnedHostPointer, count));
                piece.AsyncCopyToDevice(_staged.DevicePointer, 0, _offsets[part] + at, count, _stream.Stream);
                _copied[turn].Record(_stream.Stream);
                at += count;
            }
        }

        _kernels.Shuffle(_stream, new StagedExpert(At(0), At(1), At(2), At(3), At(4), At(5)), slot);
        _done.Record(_stream.Stream);
        _done.Synchronize();
    }

    public void Dispose() => _owned.Dispose();

    private CUdeviceptr At(int part) => _staged.DevicePointer + _offsets[part];
}
