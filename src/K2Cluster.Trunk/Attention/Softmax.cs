namespace K2Cluster.Trunk.Attention;

/// <summary>An online softmax so far: the largest score, and the sum of e^(score − max).</summary>
internal struct Softmax
{
    public static readonly Softmax Empty = new() { Max = float.NegativeInfinity };

    public float Max;
    public float Sum;
}
