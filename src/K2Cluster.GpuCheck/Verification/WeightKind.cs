namespace K2Cluster.GpuCheck.Verification;

/// <summary>What weights are made of.</summary>
internal enum WeightKind
{
    /// <summary>All integers alike; scales so that results keep the size of inputs.</summary>
    Random,

    /// <summary>Every INT4 weight is -8; in BF16, all of a row are the same negative number.</summary>
    AllLeast,

    /// <summary>The up projection's scales reach the largest finite BF16; small inputs keep results finite.</summary>
    Largest,

    /// <summary>The up projection's scales are the smallest normal BF16; large inputs keep results normal.</summary>
    Smallest,
}
