using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Kernels.Devices.Cpu;

/// <summary>
/// Activation rows in INT16 or INT8 with a scale per group of 32: scale = max|x| / 32767 or 127, value = x / scale rounded half
/// to even. A row is <c>[groups × 16]</c> words of two INT16 or <c>[groups × 8]</c> of four INT8 values, then <c>[groups]</c>
/// FP32 scales, then <c>[groups]</c> words of corrections −8 × Σ values (weights are stored plus 8).
/// </summary>
/// <remarks>
/// Values stand at the places of their nibbles in the weights. INT16: word 4j + p of a group holds elements 8j + p (low half)
/// and 8j + p + 4; a correction is one int32. INT8: word 2j + p holds elements 8j + p + 0, 2, 4, 6, lowest byte first; a
/// correction is two INT16, of the lower and the higher two bytes of all words.
/// </remarks>
internal sealed unsafe class QuantizedRows : IDisposable
{
    public const int GroupSize = 32;

    /// <summary>A group below this is zero: its scale would lose bits to underflow.</summary>
    private const float SmallestMax = 7.8886091e-31f;

    private readonly AlignedMemory _memory;
    private readonly int _groupWords;

    public QuantizedRows(int maxRows, int columns, CpuActivations activations)
    {
        Columns = columns;
        Activations = activations;
        _groupWords = activations == CpuActivations.Bits8 ? GroupSize / 4 : GroupSize / 2;
        _memory = new AlignedMemory((long)maxRows * RowWords * sizeof(int));
    }

    public int Columns { get; }

    public CpuActivations Activations { get; }

    public int Groups => Columns / GroupSize;

    private int RowWords => Groups * (_groupWords + 2);

    public int* Row(int row) => (int*)_memory.Pointer + (long)row * RowWords;

    /// <summary>Quantises a row. A group with a NaN or an infinity gets the scale NaN and so makes every product NaN.</summary>
    public void Set<TLanes>(int row, float* source)
        where TLanes : struct, ILanes<TLanes>
    {
        for (int group = 0; group < Groups; group++, source += GroupSize)
            SetGroup(row, group, TLanes.Load(source), TLanes.Load(source + LaneMath.LaneCount));
    }

    /// <summary>Quantises a row of BF16.</summary>
    public void Set<TLanes>(int row, ReadOnlySpan<ushort> source)
        where TLanes : struct, ILanes<TLanes>
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(source.Length, Columns, nameof(source));
        fixed (ushort* values = source)
        {
            for (int group = 0; group < Groups; group++)
            {
                ushort* at = values + group * GroupSize;
                SetGroup(row, group, TLanes.LoadBf16(at), TLanes.LoadBf16(at + LaneMath.LaneCount));
            }
        }
    }

    public void Dispose() => _memory.Dispose();

    private void SetGroup<TLanes>(int row, int group, TLanes low, TLanes high)
        where TLanes : struct, ILanes<TLanes>
    {
        int* start = Row(row);
        int* words = start + group * _groupWords;
        float* scales = (float*)(start + Groups * _groupWords);
        int* corrections = (int*)(scales + Groups);
        float scale = Scale(low, high, Activations == CpuActivations.Bits8 ? sbyte.MaxValue : short.MaxValue);
        scales[group] = scale;
        corrections[group] = 0;
        if (!(scale > 0))
        {
            new Span<int>(words, _groupWords).Clear();
            return;
        }

        float* rounded = stackalloc float[GroupSize];
        TLanes divisor = TLanes.Broadcast(scale);
        TLanes.Store(TLanes.Round(TLanes.Divide(low, divisor)), rounded);
        TLanes.Store(TLanes.Round(TLanes.Divide(high, divisor)), rounded + LaneMath.LaneCount);
        corrections[group] = Activations == CpuActivations.Bits8 ? SetBytes(rounded, words) : SetPairs(rounded, words);
    }

    /// <summary>The words of a group of INT16 values; gives its correction.</summary>
    private static int SetPairs(float* rounded, int* words)
    {
        int sum = 0;
        for (int i = 0; i < GroupSize / 2; i++)
        {
            int first = (int)rounded[8 * (i / 4) + i % 4];
            int second = (int)rounded[8 * (i / 4) + i % 4 + 4];
            words[i] = (first & 0xFFFF) | (second << 16);
            sum += first + second;
        }

        return -8 * sum;
    }

    /// <summary>The same of INT8 values.</summary>
    private static int SetBytes(float* rounded, int* words)
    {
        int low = 0, high = 0;
        for (int i = 0; i < GroupSize / 4; i++)
        {
            float* at = rounded + 8 * (i / 2) + i % 2;
            int first = (int)at[0], second = (int)at[2], third = (int)at[4], fourth = (int)at[6];
            words[i] = (first & 0xFF) | ((second & 0xFF) << 8) | ((third & 0xFF) << 16) | (fourth << 24);
            low += first + second;
            high += third + fourth;
        }

        return (-8 * low & 0xFFFF) | (-8 * high << 16);
    }

    /// <summary>0 for a group of zeros, NaN for one with a value that is not finite.</summary>
    private static float Scale<TLanes>(TLanes low, TLanes high, float largest)
        where TLanes : struct, ILanes<TLanes>
    {
        float* lanes = stackalloc float[LaneMath.LaneCount];
        TLanes.Store(TLanes.Max(TLanes.Abs(low), TLanes.Abs(high)), lanes);
        float max = 0;
        for (int i = 0; i < LaneMath.LaneCount; i++)
            max = lanes[i] > max ? lanes[i] : max;

        // Max passes over a NaN, x × 0 does not: it is 0 or NaN.
        float poison = TLanes.Sum(TLanes.Add(TLanes.Multiply(low, TLanes.Zero), TLanes.Multiply(high, TLanes.Zero)));
        if (float.IsNaN(poison))
            return float.NaN;
        return max < SmallestMax ? 0 : max / largest;
    }
}
