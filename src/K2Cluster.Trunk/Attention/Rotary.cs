using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// Rotary positions with YaRN, as DeepSeek's published modeling_deepseek.py computes them in FP32. Pairs are interleaved:
/// elements 2i and 2i + 1 turn by position × frequency i. The scaling is static: it holds at every position.
/// </summary>
internal sealed class Rotary
{
    private readonly float[] _frequencies;
    private readonly float _magnitude;

    public Rotary(ModelConfig config)
    {
        _frequencies = Frequencies(config);
        double scale = 1 / Math.Sqrt(config.QkHeadDim);
        double magnitude = 1;
        if (config.RopeScaling is { } yarn)
        {
            double all = Magnitude(yarn.Factor, yarn.MScaleAllDim);
            magnitude = Magnitude(yarn.Factor, yarn.MScale) / all;
            scale *= all * all;
        }

        _magnitude = (float)magnitude;
        SoftmaxScale = (float)scale;
    }

    /// <summary>Turns per position of each pair, in radians.</summary>
    public ReadOnlySpan<float> InverseFrequencies => _frequencies;

    /// <summary>What a query times a key is multiplied by: 1 / √(head size), corrected for YaRN.</summary>
    public float SoftmaxScale { get; }

    /// <summary>
    /// The cos and sin of a position for each pair. The angle is rounded to FP32 before they are taken, as the reference's
    /// tables have it; far along, that rounding is larger than any other here, so it is part of the model.
    /// </summary>
    public void Angles(int position, Span<float> cos, Span<float> sin)
    {
        for (int i = 0; i < _frequencies.Length; i++)
        {
            float angle = position * _frequencies[i];
            cos[i] = (float)ReproducibleMath.Cos(angle) * _magnitude;
            sin[i] = (float)ReproducibleMath.Sin(angle) * _magnitude;
        }
    }

    private static float[] Frequencies(ModelConfig config)
    {
        int size = config.QkRopeHeadDim;
        double logTheta = ReproducibleMath.Log(config.RopeTheta);
        float[] frequencies = new float[size / 2];
        for (int i = 0; i < frequencies.Length; i++)
        {
            float power = (float)ReproducibleMath.Exp((float)(2 * i) / size * logTheta);
            frequencies[i] = 1f / power;
            if (config.RopeScaling is { } yarn)
                frequencies[i] = Stretch(yarn, i, size, logTheta, power);
        }

        return frequencies;
    }

    /// <summary>Fast pairs keep their frequency, slow ones are divided by the factor, those between are mixed on a ramp.</summary>
    private static float Stretch(RopeScaling yarn, int pair, int size, double logTheta, float power)
    {
        double low = Math.Max(Math.Floor(CorrectionDimension(yarn.BetaFast)), 0);
        double high = Math.Min(Math.Ceiling(CorrectionDimension(yarn.BetaSlow)), size - 1);
        if (low == high)
            high += 0.001;

        float ramp = Math.Clamp((pair - (float)low) / (float)(high - low), 0f, 1f);
        float keep = 1f - ramp;
        float kept = 1f / power;
        float divided = 1f / ((float)yarn.Factor * power);
        return (divided * (1f - keep)) + (kept * keep);

        double CorrectionDimension(double rotations) =>
            size * ReproducibleMath.Log(yarn.OriginalMaxPositions / (rotations * 2 * Math.PI)) / (2 * logTheta);
    }

    private static double Magnitude(double factor, double mscale) => factor <= 1 ? 1 : (0.1 * mscale * ReproducibleMath.Log(factor)) + 1;
}
