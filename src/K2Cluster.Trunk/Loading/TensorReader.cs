using System.Buffers;
using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Loading;

/// <summary>
/// Reads checked tensors into the forms that the trunk computes with, a piece at a time on all compute threads: no tensor
/// is ever held twice. Keeps what it made until the load is complete, and frees it when the load fails.
/// </summary>
internal sealed class TensorReader(ITensorSource source, CpuCompute compute) : IDisposable
{
    private const int PieceBytes = 1 << 20;

    // Whole blocks of a packed matrix, so that threads seldom write to one together; a row has words of its own in any case.
    private const int PieceRows = 16;

    private readonly List<IDisposable> _made = [];

    public long BytesRead { get; private set; }

    /// <summary>BF16 matrices [rows, columns] of as many columns, one below the other as one.</summary>
    public Bf16Matrix Matrix(params ReadOnlySpan<string> names)
    {
        int rows = 0;
        foreach (string name in names)
            rows += (int)Find(name).Shape[0];
        int columns = (int)Find(names[0]).Shape[1];
        Bf16Matrix matrix = Keep(new Bf16Matrix(rows, columns));
        int pieceRows = Math.Max(PieceBytes / (columns * sizeof(ushort)) / PieceRows, 1) * PieceRows;
        int first = 0;
        foreach (string name in names)
        {
            TensorInfo tensor = Find(name);
            int count = (int)tensor.Shape[0];
            compute.Run(new MatrixWork(source, tensor, matrix, first, pieceRows), (count + pieceRows - 1) / pieceRows);
            BytesRead += tensor.ByteLength;
            first += count;
        }

        return matrix;
    }

    /// <summary>A BF16 or F32 vector, widened.</summary>
    public float[] Vector(string name)
    {
        TensorInfo tensor = Find(name);
        BytesRead += tensor.ByteLength;
        float[] values = new float[tensor.Shape[0]];
        if (tensor.Type == TensorType.F32)
        {
            source.Read(tensor, 0, MemoryMarshal.AsBytes(values.AsSpan()));
            return values;
        }

        ushort[] bits = new ushort[values.Length];
        source.Read(tensor, 0, MemoryMarshal.AsBytes(bits.AsSpan()));
        Bf16.Widen(bits, values);
        return values;
    }

    /// <summary>A BF16 matrix as it is in the file, for looking up rows.</summary>
    public unsafe EmbeddingTable Table(string name)
    {
        TensorInfo tensor = Find(name);
        BytesRead += tensor.ByteLength;
        AlignedMemory memory = Keep(new AlignedMemory(tensor.ByteLength, zeroed: false));
        compute.Run(new BytesWork(source, tensor, memory.Pointer), (int)((tensor.ByteLength + PieceBytes - 1) / PieceBytes));
        return new EmbeddingTable(memory, (int)tensor.Shape[1]);
    }

    /// <summary>
    /// kv_b [heads × (nope + value), latent] taken apart: for each head its keys' part transposed to [latent, nope], and its
    /// values' part [value, latent].
    /// </summary>
    public (Bf16Matrix[] Keys, Bf16Matrix[] Values) KeysAndValues(string name, ModelConfig config)
    {
        TensorInfo tensor = Find(name);
        BytesRead += tensor.ByteLength;
        (Bf16Matrix[] Keys, Bf16Matrix[] Values) result = (new Bf16Matrix[config.HeadCount], new Bf16Matrix[config.HeadCount]);
        for (int head = 0; head < config.HeadCount; head++)
        {
            result.Keys[head] = Keep(new Bf16Matrix(config.KvLoraRank, config.QkNopeHeadDim));
            result.Values[head] = Keep(new Bf16Matrix(config.ValueHeadDim, config.KvLoraRank));
        }

        compute.Run(new HeadWork(source, tensor, config.QkNopeHeadDim, result.Keys, result.Values), config.HeadCount);
        return result;
    }

    /// <summary>Hands over all that was made.</summary>
    public IReadOnlyList<IDisposable> Release()
    {
        IDisposable[] made = [.. _made];
        _made.Clear();
        return made;
    }

    public void Dispose()
    {
        foreach (IDisposable memory in _made)
            memory.Dispose();
    }

    private TensorInfo Find(string name)
    {
        if (!source.TryGet(name, out TensorInfo? tensor))
            throw new CheckpointException($"{source.Locate(name)}: tensor {name} is gone since it was checked.");
        return tensor;
    }

    private T Keep<T>(T memory)
        where T : IDisposable
    {
        _made.Add(memory);
        return memory;
    }

    private readonly struct MatrixWork(ITensorSource source, TensorInfo tensor, Bf16Matrix matrix, int firstRow, int pieceRows) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            int first = part * pieceRows;
            int count = Math.Min(pieceRows, (int)tensor.Shape[0] - first);
            int bytes = count * matrix.Columns * sizeof(ushort);
            byte[] piece = ArrayPool<byte>.Shared.Rent(bytes);
            source.Read(tensor, (long)first * matrix.Columns * sizeof(ushort), piece.AsSpan(0, bytes));
            matrix.SetRows(firstRow + first, MemoryMarshal.Cast<byte, ushort>(piece.AsSpan(0, bytes)));
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    private readonly unsafe struct BytesWork(ITensorSource source, TensorInfo tensor, byte* destination) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            long first = (long)part * PieceBytes;
            int bytes = (int)Math.Min(PieceBytes, tensor.ByteLength - first);
            source.Read(tensor, first, new Span<byte>(destination + first, bytes));
        }
    }

    private readonly struct HeadWork(ITensorSource source, TensorInfo tensor, int nope, Bf16Matrix[] keys, Bf16Matrix[] values) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            int latent = keys[part].Rows;
            int rows = nope + values[part].Rows;
            ushort[] bits = ArrayPool<ushort>.Shared.Rent(rows * latent);
            ushort[] transposed = ArrayPool<ushort>.Shared.Rent(nope * latent);
            Span<ushort> head = bits.AsSpan(0, rows * latent);
            source.Read(tensor, (long)part * rows * latent * sizeof(ushort), MemoryMarshal.AsBytes(head));
            for (int row = 0; row < nope; row++)
            {
                for (int column = 0; column < latent; column++)
                    transposed[(column * nope) + row] = head[(row * latent) + column];
            }

            keys[part].SetRows(0, transposed.AsSpan(0, nope * latent));
            values[part].SetRows(0, head[(nope * latent)..]);
            ArrayPool<ushort>.Shared.Return(bits);
            ArrayPool<ushort>.Shared.Return(transposed);
        }
    }
}
