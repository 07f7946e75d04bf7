namespace K2Cluster.PtxEmulator.Arithmetic;

/// <summary>Roundings that the CPU does not offer, made from exact sums.</summary>
internal static class Rounding
{
    public const uint NotANumber = 0x7FFFFFFF;

    /// <summary>
    /// a + b rounded to odd: where the FP64 sum is inexact, its last bit is set. Rounded once more to a shorter format it gives
    /// what one rounding of the exact sum would give, in any mode.
    /// </summary>
    public static double AddToOdd(double a, double b)
    {
        double sum = a + b;
        if (!double.IsFinite(sum))
            return sum;
        double other = sum - a;
        double error = (a - (sum - other)) + (b - other);
        if (error == 0)
            return sum;
        long bits = BitConverter.DoubleToInt64Bits(sum);
        if ((bits & 1) != 0)
            return sum;
        // Towards the exact value, which lies between two neighbours: the odd one of them.
        bool away = error > 0 == sum > 0;
        return BitConverter.Int64BitsToDouble(away ? bits + 1 : bits - 1);
    }

    /// <summary>a·b + c of FP32 (or shorter) values, to be rounded once to a format no longer than FP32.</summary>
    public static double FusedToOdd(float a, float b, float c) => AddToOdd((double)a * b, c);

    /// <summary>BF16 nearest even, in the low half; NaN is 0x7FFF.</summary>
    public static uint ToBf16(double value)
    {
        if (double.IsNaN(value))
            return 0x7FFF;
        // To odd at FP32, so that the second rounding sees what the first dropped.
        float single = ToSingleOdd(value);
        uint bits = BitConverter.SingleToUInt32Bits(single);
        return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
    }

    /// <summary>FP32 towards zero, downwards or upwards.</summary>
    /// <param name="mode">'z', 'm' or 'p', as PTX names them after the r.</param>
    public static float ToSingle(double value, char mode)
    {
        float nearest = (float)value;
        if (mode == 'n' || double.IsNaN(value) || nearest == value)
            return nearest;
        bool below = nearest < value;
        bool down = mode == 'm' || (mode == 'z' && value > 0);
        bool up = mode == 'p' || (mode == 'z' && value < 0);
        if (down && !below)
            return MathF.BitDecrement(nearest);
        return up && below ? MathF.BitIncrement(nearest) : nearest;
    }

    private static float ToSingleOdd(double value)
    {
        float nearest = (float)value;
        if (nearest == value || !float.IsFinite(nearest) || (BitConverter.SingleToUInt32Bits(nearest) & 1) != 0)
            return nearest;
        return nearest < value ? MathF.BitIncrement(nearest) : MathF.BitDecrement(nearest);
    }
}
