using System.Buffers.Binary;
using K2Cluster.PtxEmulator.Arithmetic;
using K2Cluster.PtxEmulator.Machine;
using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>
/// Lays out a warp's registers: for each register its 32 lanes of 4 bytes (16 and 32 bits) or 8 (64 bits), for each predicate
/// one word, and registers of their own for constants and special registers, filled before the kernel begins.
/// </summary>
internal sealed class RegisterFile
{
    private const int Narrow = 4 * Lanes.Count;
    private const int Wide = 8 * Lanes.Count;

    private readonly int[] _offsets;
    private readonly Dictionary<(bool Wide, ulong Value), int> _constants = [];
    private readonly Dictionary<string, int> _special = new(StringComparer.Ordinal);
    private readonly int _discard;
    private int _bytes;

    public RegisterFile(PtxKernel kernel)
    {
        _offsets = new int[kernel.Registers.Count];
        for (int i = 0; i < _offsets.Length; i++)
        {
            int bytes = kernel.Registers[i].Type.Bytes();
            if (bytes > 0)
                _offsets[i] = Take(bytes == 8 ? Wide : Narrow);
        }

        // Predicates last: one word each, in groups that keep what follows aligned.
        int at = 0;
        int group = 0;
        for (int i = 0; i < _offsets.Length; i++)
        {
            if (kernel.Registers[i].Type != PtxType.Pred)
                continue;
            if (at % Lanes.PieceBytes == 0)
                group = Take(Lanes.PieceBytes);
            _offsets[i] = group + (at % Lanes.PieceBytes);
            at += sizeof(uint);
        }

        _discard = Take(Wide);
    }

    public SpecialRegister[] Special => [.. _special.Select(special => new SpecialRegister(special.Key, special.Value))];

    /// <summary>Where a result goes that nobody wants.</summary>
    public int Discard => _discard;

    public int Offset(int register) => _offsets[register];

    public int SpecialOffset(string name)
    {
        if (!_special.TryGetValue(name, out int offset))
            _special.Add(name, offset = Take(Narrow));
        return offset;
    }

    /// <summary>A register with the value in every lane.</summary>
    public int Constant(bool wide, ulong value)
    {
        if (!wide)
            value &= uint.MaxValue;
        if (!_constants.TryGetValue((wide, value), out int offset))
            _constants.Add((wide, value), offset = Take(wide ? Wide : Narrow));
        return offset;
    }

    /// <summary>A predicate that is always as said.</summary>
    public int Predicate(bool value)
    {
        // A constant of all ones serves: its first word is the predicate.
        return Constant(wide: false, value ? uint.MaxValue : 0);
    }

    public byte[] Image()
    {
        byte[] image = new byte[_bytes];
        foreach (((bool wide, ulong value), int offset) in _constants)
        {
            for (int lane = 0; lane < Lanes.Count; lane++)
            {
                if (wide)
                    BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan(offset + (8 * lane)), value);
                else
                    BinaryPrimitives.WriteUInt32LittleEndian(image.AsSpan(offset + (4 * lane)), (uint)value);
            }
        }

        return image;
    }

    private int Take(int bytes)
    {
        int offset = _bytes;
        _bytes += bytes;
        return offset;
    }
}
