using System.Runtime.InteropServices;

namespace K2Cluster.Trunk.Tests;

internal static class Compare
{
    /// <summary>‖actual − expected‖ / ‖expected‖.</summary>
    public static double RelativeError(IEnumerable<float> actual, IEnumerable<float> expected)
    {
        double difference = 0;
        double norm = 0;
        foreach ((float a, float e) in actual.Zip(expected))
        {
            difference += ((double)a - e) * ((double)a - e);
            norm += (double)e * e;
        }

        return Math.Sqrt(difference / norm);
    }

    public static void SameBits(float[][] expected, float[][] actual, string what)
    {
        Assert.True(expected.Length == actual.Length, $"{what}: {actual.Length} rows instead of {expected.Length}");
        for (int row = 0; row < expected.Length; row++)
        {
            ReadOnlySpan<uint> wanted = MemoryMarshal.Cast<float, uint>(expected[row]);
            Assert.True(wanted.SequenceEqual(MemoryMarshal.Cast<float, uint>(actual[row])), $"{what}: row {row} has other bits");
            Assert.True(expected[row].All(float.IsFinite), $"{what}: row {row} is not finite");
        }
    }
}
