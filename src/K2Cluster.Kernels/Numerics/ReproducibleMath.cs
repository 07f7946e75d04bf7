namespace K2Cluster.Kernels.Numerics;

/// <summary>
/// FP64 functions that give the same bits on every machine, for tables made at load (rotary angles, YaRN). Only IEEE
/// operations and explicit fused multiply-adds, no library function; within 1 ulp. The methods and constants are those of
/// FreeBSD's msun (e_exp.c, e_log.c, k_sin.c, k_cos.c).
/// </summary>
public static class ReproducibleMath
{
    private const double Ln2High = 6.93147180369123816490e-01;
    private const double Ln2Low = 1.90821492927058770002e-10;

    // π/2 in three doubles.
    private const double HalfPi1 = 1.57079632679489655800e+00;
    private const double HalfPi2 = 6.12323399573676603587e-17;
    private const double HalfPi3 = -1.49738490485916983e-33;

    /// <summary>Beyond this, the argument of Sin and Cos is refused: no table of a model gets near.</summary>
    private const double MaxAngle = 1L << 30;

    /// <summary>e^x; +∞ from 709.79, 0 below −745.2.</summary>
    public static double Exp(double x)
    {
        if (double.IsNaN(x))
            return x;
        if (x > 709.782712893383973096)
            return double.PositiveInfinity;
        if (x < -745.13321910194110842)
            return 0;

        double n = Math.Round(x * 1.44269504088896338700, MidpointRounding.ToEven);
        double high = Math.FusedMultiplyAdd(-n, Ln2High, x);
        double low = n * Ln2Low;
        double r = high - low;
        double t = r * r;
        double c = r - (t * (1.66666666666666019037e-01 + (t * (-2.77777777770155933842e-03 + (t * (6.61375632143793436117e-05
            + (t * (-1.65339022054652515390e-06 + (t * 4.13813679705723846039e-08)))))))));
        double y = 1 - (low - (r * c / (2 - c)) - high);
        return y * PowerOfTwo((int)n / 2) * PowerOfTwo((int)n - ((int)n / 2));
    }

    /// <summary>The natural logarithm; NaN below 0, −∞ at 0.</summary>
    public static double Log(double x)
    {
        if (double.IsNaN(x) || x < 0)
            return double.NaN;
        if (x == 0)
            return double.NegativeInfinity;
        if (double.IsPositiveInfinity(x))
            return x;

        int exponent = 0;
        if (x < 2.2250738585072014e-308)
        {
            x *= 1L << 54;
            exponent = -54;
        }

        // x = 2^exponent × (1 + f) with √½ < 1 + f < √2.
        long bits = BitConverter.DoubleToInt64Bits(x);
        exponent += (int)(bits >> 52) - 1023;
        double mantissa = BitConverter.Int64BitsToDouble((bits & 0x000F_FFFF_FFFF_FFFF) | 0x3FF0_0000_0000_0000);
        if (mantissa > 1.41421356237309514547)
        {
            mantissa *= 0.5;
            exponent++;
        }

        double f = mantissa - 1;
        double s = f / (2 + f);
        double z = s * s;
        double w = z * z;
        double even = w * (3.999999999940941908e-01 + (w * (2.222219843214978396e-01 + (w * 1.531383769920937332e-01))));
        double odd = z * (6.666666666666735130e-01 + (w * (2.857142874366239149e-01 + (w * (1.818357216161805012e-01
            + (w * 1.479819860511658591e-01))))));
        double half = 0.5 * f * f;
        return (exponent * Ln2High) - (half - ((s * (half + even + odd)) + (exponent * Ln2Low)) - f);
    }

    /// <exception cref="ArgumentOutOfRangeException">|x| is above 2^30, or x is not finite.</exception>
    public static double Sin(double x)
    {
        int quadrant = Reduce(x, out double r, out double tail);
        return quadrant switch
        {
            0 => SinKernel(r, tail),
            1 => CosKernel(r, tail),
            2 => -SinKernel(r, tail),
            _ => -CosKernel(r, tail),
        };
    }

    /// <exception cref="ArgumentOutOfRangeException">|x| is above 2^30, or x is not finite.</exception>
    public static double Cos(double x)
    {
        int quadrant = Reduce(x, out double r, out double tail);
        return quadrant switch
        {
            0 => CosKernel(r, tail),
            1 => -SinKernel(r, tail),
            2 => -CosKernel(r, tail),
            _ => SinKernel(r, tail),
        };
    }

    /// <summary>x = n π/2 + r + tail, |r| ≤ π/4; returns n mod 4.</summary>
    private static int Reduce(double x, out double r, out double tail)
    {
        if (!(Math.Abs(x) <= MaxAngle))
            throw new ArgumentOutOfRangeException(nameof(x), x, $"An angle must lie within ±{MaxAngle}.");

        // The first product is exact under fma: the difference is a multiple of 2^−52 (or of x's own last bit) below 1.
        double n = Math.Round(x * 6.36619772367581382433e-01, MidpointRounding.ToEven);
        double first = Math.FusedMultiplyAdd(-n, HalfPi1, x);
        double second = n * HalfPi2;
        double secondError = Math.FusedMultiplyAdd(n, HalfPi2, -second);
        r = first - second;

        // What that difference lost (Knuth), so that multiples of π/2, where it cancels, keep all their bits.
        double back = r - first;
        double differenceError = first - (r - back) - (second + back);
        tail = Math.FusedMultiplyAdd(-n, HalfPi3, differenceError - secondError);
        return (int)((long)n & 3);
    }

    private static double SinKernel(double x, double tail)
    {
        double z = x * x;
        double v = z * x;
        double r = 8.33333333332248946124e-03 + (z * (-1.98412698298579493134e-04 + (z * (2.75573137070700676789e-06
            + (z * (-2.50507602534068634195e-08 + (z * 1.58969099521155010221e-10)))))));
        return x - ((z * ((0.5 * tail) - (v * r))) - tail - (v * -1.66666666666666324348e-01));
    }

    private static double CosKernel(double x, double tail)
    {
        double z = x * x;
        double r = z * (4.16666666666666019037e-02 + (z * (-1.38888888888741095749e-03 + (z * (2.48015872894767294178e-05
            + (z * (-2.75573143513906633035e-07 + (z * (2.08757232129817482790e-09 + (z * -1.13596475577881948265e-11))))))))));
        double half = 0.5 * z;
        double w = 1 - half;
        return w + (1 - w - half + ((z * r) - (x * tail)));
    }

    private static double PowerOfTwo(int exponent) => BitConverter.Int64BitsToDouble((exponent + 1023L) << 52);
}
