using System.Collections.Concurrent;
using K2Cluster.Cuda.Device;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.GpuCheck.Verification;

/// <summary>
/// The rows that one expert set gave so far. A row that comes for the first time is compared with FP64, element by element and
/// as a vector; when it comes again, in whatever company and from whatever kernel, its bits must be the same.
/// </summary>
internal sealed class KnownRows(ExpertSizes sizes, IReadOnlyDictionary<int, HostExpert> experts, double[][] inputs)
{
    /// <summary>Relative error of a row of BF16 numbers, whose rounding alone makes 1.7e-3.</summary>
    public const double Tolerance = 3e-3;

    /// <summary>Of an element: half a unit in the last place, just above a power of two, and a little.</summary>
    private const double ElementTolerance = 1.01 / 256;

    /// <summary>Rows of which fewer elements were compared are judged by these: a large one's rounding may be all of their error.</summary>
    private const int LeastForRow = 128;

    /// <summary>What sums in FP32 may lose, as a share of the sum of the absolute values.</summary>
    private const double SumTolerance = 1e-5;

    /// <summary>Half of the smallest BF16.</summary>
    private const double Floor = 5e-41;

    private readonly ConcurrentDictionary<(int Row, int Expert), (ushort[] Middle, ushort[] Output)> _rows = new();

    /// <summary>The largest relative error of a row so far, of gate_up and of down.</summary>
    public (double GateUp, double Down) Worst { get; private set; }

    /// <summary>Elements of a row that are compared with FP64 at least, where not all are.</summary>
    public required int Sample { get; init; }

    /// <summary>Null when all is well; otherwise whether down is at fault, and what is wrong.</summary>
    public (bool IsDown, string What)? Check(Load load, int[] places, ushort[] middle, ushort[] output)
    {
        (bool, string)? problem = null;
        Lock found = new();
        Parallel.For(0, load.Pairs.Length, (pair, state) =>
        {
            if (places[pair] < 0)
                return;
            ReadOnlySpan<ushort> middleRow = middle.AsSpan(places[pair] * sizes.Intermediate, sizes.Intermediate);
            ReadOnlySpan<ushort> outputRow = output.AsSpan(pair * sizes.Hidden, sizes.Hidden);
            if (CheckPair(load.Pairs[pair], middleRow, outputRow) is not { } wrong)
                return;
            lock (found)
                problem = problem is null or { Item1: true } ? wrong : problem;
            state.Stop();
        });
        return problem;
    }

    private (bool IsDown, string What)? CheckPair((int Row, int Expert) pair, ReadOnlySpan<ushort> middle, ReadOnlySpan<ushort> output)
    {
        string where = $"row {pair.Row} of expert {pair.Expert}";
        if (_rows.TryGetValue(pair, out (ushort[] Middle, ushort[] Output) known))
        {
            int middleAt = middle.CommonPrefixLength(known.Middle);
            if (middleAt < middle.Length)
                return (false, $"{where} has other bits at {middleAt} than before in other company: {middle[middleAt]:x4}, not {known.Middle[middleAt]:x4}");
            int outputAt = output.CommonPrefixLength(known.Output);
            return outputAt < output.Length ? (true, $"{where} has other bits at {outputAt} than before in other company: {output[outputAt]:x4}, not {known.Output[outputAt]:x4}") : null;
        }

        double[] middleInputs = new double[middle.Length];
        for (int i = 0; i < middle.Length; i++)
            middleInputs[i] = Bf16.ToSingle(middle[i]);
        HostExpert expert = experts[pair.Expert];
        if (Compare(middle, pair.Row, element => Middle(expert, element, inputs[pair.Row]), out double gateUpError) is { } inMiddle)
            return (false, $"{where}: {inMiddle}");
        if (Compare(output, pair.Row, element => (expert.Dot(ExpertPart.Down, element, middleInputs, out double magnitude), magnitude * SumTolerance), out double downError) is { } inOutput)
            return (true, $"{where}: {inOutput}");
        _rows[pair] = (middle.ToArray(), output.ToArray());
        lock (_rows)
            Worst = (Math.Max(Worst.GateUp, gateUpError), Math.Max(Worst.Down, downError));
        return null;
    }

    /// <summary>SwiGLU of an element, and what sums in FP32 may make of it.</summary>
    private static (double Exact, double Slack) Middle(HostExpert expert, int element, double[] x)
    {
        double gate = expert.Dot(ExpertPart.Gate, element, x, out double gateMagnitude);
        double up = expert.Dot(ExpertPart.Up, element, x, out double upMagnitude);
        double silu = gate / (1 + Math.Exp(-gate));
        // The slope of silu is 1.1 at most.
        return (silu * up, SumTolerance * ((1.1 * gateMagnitude * Math.Abs(up)) + (upMagnitude * Math.Abs(silu))));
    }

    /// <summary>All elements of the first two rows and a sample of others, their ends always.</summary>
    private string? Compare(ReadOnlySpan<ushort> actual, int row, Func<int, (double Exact, double Slack)> exactOf, out double error)
    {
        int step = row < 2 ? 1 : Math.Max(1, actual.Length / Sample);
        double difference = 0;
        double length = 0;
        for (int i = row % step; ; i += step)
        {
            int element = Math.Min(i, actual.Length - 1);
            (double exact, double slack) = exactOf(element);
            double value = Bf16.ToSingle(actual[element]);
            double off = Math.Abs(value - exact);
            if (!(off <= (ElementTolerance * Math.Abs(exact)) + slack + Floor)) // also when it is no number
            {
                error = double.NaN;
                return $"element {element} is {value:g6}, and {exact:g6} in FP64";
            }

            difference += off * off;
            length += exact * exact;
            if (element == actual.Length - 1)
                break;
        }

        error = length == 0 ? 0 : Math.Sqrt(difference / length);
        return actual.Length / step < LeastForRow || error <= Tolerance || Math.Sqrt(difference) <= Floor * Math.Sqrt(actual.Length) ? null : $"its relative error is {error:0.0e+0}, where {Tolerance:0.0e+0} is allowed";
    }
}
