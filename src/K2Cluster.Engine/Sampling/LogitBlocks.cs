using System.Numerics;
using System.Runtime.Intrinsics;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Engine.Sampling;

/// <summary>
/// The highest logit of each block of 256 ids, read in one pass: they lead to the highest logits without a look at the rest.
/// Used by one thread; nothing is allocated after construction.
/// </summary>
internal sealed class LogitBlocks(int vocabularySize)
{
    public const int Length = 256;

    private static readonly CpuPath Path = CpuPaths.Best;

    private readonly float[] _maxima = new float[Count(vocabularySize)];
    private readonly float[] _sorted = new float[Count(vocabularySize)];

    /// <summary>The highest logit of the row that was read; finite.</summary>
    public float Highest { get; private set; }

    public static int Count(int ids) => (ids + Length - 1) / Length;

    /// <param name="logits">[vocabulary].</param>
    /// <exception cref="SamplingException">A logit is not a number or positive infinity, or none is above negative infinity.</exception>
    public void Read(ReadOnlySpan<float> logits)
    {
        if (!VectorMath.TryBlockMaxima(Path, logits, Length, _maxima))
            ThrowBroken(logits);
        Highest = VectorMath.Max(Path, _maxima);
        if (float.IsNegativeInfinity(Highest))
            throw new SamplingException("No token is allowed: every logit is negative infinity.");
    }

    /// <summary>The lowest id among the highest logits of the row that was read.</summary>
    public int First(ReadOnlySpan<float> logits)
    {
        int id = Length * _maxima.AsSpan().IndexOf(Highest);
        while (logits[id] != Highest)
            id++;
        return id;
    }

    /// <summary>Writes the ids whose logits are at least <paramref name="least"/>, in ascending order; returns how many.</summary>
    public int Collect(ReadOnlySpan<float> logits, float least, Span<int> ids)
    {
        int count = 0;
        for (int block = 0; block < _maxima.Length; block++)
        {
            int first = block * Length;
            if (_maxima[block] >= least)
                count = Append(logits[first..Math.Min(first + Length, logits.Length)], first, least, ids, count);
        }

        return count;
    }

    /// <summary>
    /// A number that at least <paramref name="count"/> logits reach, and about as few others as the blocks can tell; the
    /// lowest finite number when they cannot tell, or when there are not so many logits above negative infinity.
    /// </summary>
    public float Bound(int count)
    {
        if (count > _maxima.Length)
            return float.MinValue;
        // That many blocks have one such logit each.
        _maxima.CopyTo(_sorted, 0);
        _sorted.AsSpan().Sort();
        return MathF.Max(float.MinValue, _sorted[^count]);
    }

    /// <summary>Appends the ids, counted from <paramref name="first"/>, of the values that are at least <paramref name="least"/>.</summary>
    public static int Append(ReadOnlySpan<float> values, int first, float least, Span<int> ids, int count)
    {
        int i = 0;
        Vector256<float> bound = Vector256.Create(least);
        for (; i + Vector256<float>.Count <= values.Length; i += Vector256<float>.Count)
        {
            uint found = Vector256.GreaterThanOrEqual(Vector256.Create(values.Slice(i, Vector256<float>.Count)), bound).ExtractMostSignificantBits();
            for (; found != 0; found &= found - 1)
                ids[count++] = first + i + BitOperations.TrailingZeroCount(found);
        }

        for (; i < values.Length; i++)
        {
            if (values[i] >= least)
                ids[count++] = first + i;
        }

        return count;
    }

    private static void ThrowBroken(ReadOnlySpan<float> logits)
    {
        int id = 0;
        while (logits[id] < float.PositiveInfinity)
            id++;
        throw new SamplingException($"The logit of token {id} is {logits[id]}.");
    }
}
