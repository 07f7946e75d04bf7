namespace K2Cluster.Engine.Sampling;

/// <summary>
/// Finds the smallest set of values, taken from the highest and, among equal ones, in their order, that measures up to a target.
/// </summary>
/// <remarks>
/// No sort: that takes tens of ms where 163,840 values are nearly equal, and everyone waits. Values are ordered as their keys
/// are: three digits, each found by what the values measure that share the digits before it, lead to the value at which the set
/// ends. A digit's sum runs in the order of the values, the sum over digits from the highest down.
/// </remarks>
internal sealed class TopSet
{
    private const int MaxDigit = 11;

    private readonly double[] _sums = new double[1 << MaxDigit];

    /// <summary>What the set is measured by, and how values are ordered.</summary>
    public interface IMeasure
    {
        static abstract uint Key(float value);

        static abstract double Amount(float value);
    }

    /// <summary>Keeps the set's values and ids, in their order, at the front; returns how many. All when the target is beyond their sum.</summary>
    public int Keep<TMeasure>(Span<int> ids, Span<float> values, double target)
        where TMeasure : struct, IMeasure
    {
        double above = 0;
        ulong prefix = 0;
        int prefixShift = 32;
        foreach (int width in (ReadOnlySpan<int>)[MaxDigit, MaxDigit, 10])
        {
            int shift = prefixShift - width;
            _sums.AsSpan().Clear();
            foreach (float value in values)
            {
                ulong key = TMeasure.Key(value);
                if (key >> prefixShift == prefix)
                    _sums[(key >> shift) & ((1u << width) - 1)] += TMeasure.Amount(value);
            }

            uint digit = (1u << width) - 1;
            while (digit > 0 && above + _sums[digit] < target)
                above += _sums[digit--];
            prefix = (prefix << width) | digit;
            prefixShift = shift;
        }

        int kept = 0;
        for (int i = 0; i < values.Length; i++)
        {
            float value = values[i];
            ulong key = TMeasure.Key(value);
            if (key < prefix || (key == prefix && above >= target))
                continue;
            if (key == prefix)
                above += TMeasure.Amount(value);
            ids[kept] = ids[i];
            values[kept++] = value;
        }

        return kept;
    }

    /// <summary>By number, ordered by logit: the target is how many.</summary>
    public readonly struct ByCount : IMeasure
    {
        /// <summary>Orders finite numbers as their values are; 0 and −0 are equal.</summary>
        public static uint Key(float value)
        {
            uint bits = BitConverter.SingleToUInt32Bits(value + 0f);
            return (bits & 0x8000_0000) != 0 ? ~bits : bits | 0x8000_0000;
        }

        public static double Amount(float value) => 1;
    }

    /// <summary>By sum, for weights, which are not negative.</summary>
    public readonly struct BySum : IMeasure
    {
        public static uint Key(float value) => BitConverter.SingleToUInt32Bits(value);

        public static double Amount(float value) => value;
    }
}
