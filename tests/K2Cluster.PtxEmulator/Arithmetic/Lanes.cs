using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using K2Cluster.PtxEmulator.Machine;

namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>
/// A register's 32 lanes in memory: 32 words of 4 bytes (registers of 16 and 32 bits) or of 8 (64 bits), lane 0 first, in
/// pieces of 64 bytes.
/// </summary>
internal static unsafe class Lanes
{
    public const int Count = 32;

    public const int PieceBytes = 64;

    /// <summary>Pieces of a register whose lanes have T's size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static int Pieces<T>()
        where T : unmanaged => Count * sizeof(T) / PieceBytes;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Load<T>(byte* register, int piece)
        where T : unmanaged => Vector512.Load((T*)(register + (PieceBytes * piece)));

    /// <summary>Stores the lanes that execute; the others keep what they had.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Put<T>(Warp warp, byte* register, int piece, Vector512<T> value)
        where T : unmanaged
    {
        uint executing = warp.Executing;
        if (executing != uint.MaxValue)
            value = Vector512.ConditionalSelect(Mask<T>(executing, piece), value, Load<T>(register, piece));
        value.Store((T*)(register + (PieceBytes * piece)));
    }

    /// <summary>All ones in the lanes of a piece whose bit is set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<T> Mask<T>(uint lanes, int piece)
        where T : unmanaged
    {
        if (sizeof(T) == 4)
        {
            Vector512<uint> bits = Vector512.Create(1u, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
            return Vector512.Equals(Vector512.Create(lanes >> (16 * piece)) & bits, bits).As<uint, T>();
        }

        Vector512<ulong> wide = Vector512.Create(1ul, 2, 4, 8, 16, 32, 64, 128);
        return Vector512.Equals(Vector512.Create((ulong)(lanes >> (8 * piece))) & wide, wide).As<ulong, T>();
    }

    /// <summary>The bits of the executing lanes into a predicate.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void PutPredicate(Warp warp, int offset, uint value)
    {
        uint* predicate = (uint*)(warp.Registers + offset);
        *predicate = (*predicate & ~warp.Executing) | (value & warp.Executing);
    }
}
