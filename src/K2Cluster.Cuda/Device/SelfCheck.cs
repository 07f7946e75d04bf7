using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;
using ManagedCuda;

namespace K2Cluster.Cuda.Device;

/// <summary>
/// Whether a card computes what it should, before it is given an expert: a made-up one against FP64, and a row's bits alone,
/// among others, and by the kernels for few rows and for many. It takes a moment, and a card or a driver's compiler that is
/// wrong would be wrong for days.
/// </summary>
internal static class SelfCheck
{
    /// <summary>More than a block of the kernels for few rows takes, so that the expert has two.</summary>
    public const int Rows = 9;

    /// <summary>Of the root mean square, which the outputs' rounding to BF16 makes 1.1e-3.</summary>
    private const double Tolerance = 3e-3;

    /// <summary>Null when all is well; otherwise what is not.</summary>
    /// <param name="work">Of this device, for <see cref="Rows"/> at least.</param>
    /// <param name="stream">The forwards'.</param>
    /// <param name="expert">What was loaded.</param>
    /// <param name="key">As which.</param>
    public static string? Run(CudaExpertWork work, CudaStream stream, MadeUpExpert expert, ExpertKey key)
    {
        ushort[] few = Forward(work, stream, key, Rows, isLarge: false);
        ushort[] many = Forward(work, stream, key, Rows, isLarge: true);
        ushort[] alone = Forward(work, stream, key, 1, isLarge: false);
        if (few.Length == 0 || many.Length == 0 || alone.Length == 0)
            return "it does not find an expert that was loaded";
        if (!few.AsSpan().SequenceEqual(many))
            return "its kernels for few rows and for many give different bits";
        if (!few.AsSpan(0, alone.Length).SequenceEqual(alone))
            return "a row has other bits alone than among others";

        ushort[] input = new ushort[work.HiddenSize];
        FillRow(input, 0);
        double error = RelativeError(expert.Exact(input), alone);
        return error <= Tolerance ? null : $"an expert's output differs from its value by {error:0.0e+0} of it, where {Tolerance:0.0e+0} are allowed";
    }

    /// <summary>Of the lengths of the vectors; NaN, which no comparison passes, where an output is none.</summary>
    internal static double RelativeError(ReadOnlySpan<double> exact, ReadOnlySpan<ushort> actual)
    {
        double difference = 0;
        double length = 0;
        for (int i = 0; i < exact.Length; i++)
        {
            double value = BitConverter.UInt32BitsToSingle((uint)actual[i] << 16);
            difference += (value - exact[i]) * (value - exact[i]);
            length += exact[i] * exact[i];
        }

        return Math.Sqrt(difference / length);
    }

    private static ushort[] Forward(CudaExpertWork work, CudaStream stream, ExpertKey key, int rows, bool isLarge)
    {
        work.Reset(key.Layer, rows, rows);
        for (int row = 0; row < rows; row++)
        {
            FillRow(work.Hidden.Slice(row * work.HiddenSize, work.HiddenSize), row);
            (work.PairRows[row], work.PairExperts[row]) = (row, key.Expert);
        }

        work.Run(stream, isLarge);
        return work.Statuses.ContainsAnyExcept(PairStatus.Done) ? [] : work.Outputs.ToArray();
    }

    private static void FillRow(Span<ushort> input, int row)
    {
        for (int column = 0; column < input.Length; column++)
            input[column] = MadeUpExpert.Input(row, column);
    }
}
