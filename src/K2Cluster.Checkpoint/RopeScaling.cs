namespace K2Cluster.Checkpoint;

/// <summary>YaRN: how rotary frequencies are stretched beyond the positions of the first training.</summary>
/// <param name="Factor">How many times longer the context became.</param>
/// <param name="OriginalMaxPositions">Positions of the first training.</param>
/// <param name="BetaFast">Rotations within the original context above which a frequency is kept. K2 states 1, K2.5 states 32.</param>
/// <param name="BetaSlow">Rotations below which a frequency is fully divided by the factor.</param>
/// <param name="MScale">Numerator of the magnitude of cos and sin.</param>
/// <param name="MScaleAllDim">Denominator of that magnitude, and the correction of the softmax scale.</param>
public sealed record RopeScaling(double Factor, int OriginalMaxPositions, double BetaFast, double BetaSlow, double MScale, double MScaleAllDim);
