using System.Diagnostics;
using K2Cluster.Checkpoint;
using K2Cluster.Checkpoint.Synthetic;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Kernels.Experts;
using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Cli;

/// <summary>
/// The routed experts of a shape, as many to a call as a token asks for, and its largest attention matrix: each goes round
/// more weights than caches hold.
/// </summary>
internal sealed class KernelBench : IDisposable
{
    private const int MostExperts = 4096;

    private readonly KernelBenchOptions _options;
    private readonly CpuCompute _compute;
    private readonly CpuExpertDevice _device;
    private readonly ModelConfig _config;
    private readonly long _expertBytes;
    private readonly Bf16Matrix[] _matrices;
    private readonly string _expertName;

    public KernelBench(SyntheticShape shape, KernelBenchOptions options, long bytes)
    {
        _options = options;
        int perCall = shape.ExpertsPerToken;
        long one = shape.Int4Experts ? 3L * shape.Hidden * shape.ExpertIntermediate * 9 / 16 : 6L * shape.Hidden * shape.ExpertIntermediate;
        int experts = (int)Math.Min(MostExperts, (bytes / one / perCall + 1) * perCall);
        SyntheticCheckpoint synthetic = new(shape with { Layers = 1, DenseLayers = 0, Experts = experts, Vocabulary = 512 }, seed: 1);
        _config = synthetic.Config;
        TensorCatalog catalog = new(_config);
        using ITensorSource source = synthetic.CreateSource();
        _expertBytes = catalog.CheckExpert(source, 0, 0);
        _expertName = $"{(shape.Int4Experts ? "INT4" : "BF16")} experts, {perCall} of {shape.Hidden} × {shape.ExpertIntermediate}";
        _compute = new CpuCompute(options.Threads, CpuPaths.Best);
        _device = new CpuExpertDevice(_config, catalog, long.MaxValue, _compute, activations: CommandOptions.ActivationsOf(options.CpuActivations));
        Parallel.For(0, experts, expert => _device.Load(new ExpertKey(0, expert), source));

        int columns = shape.Heads * shape.ValueDim;
        _matrices = new Bf16Matrix[(int)Math.Min(MostExperts, (bytes / Bf16Matrix.PackedBytes(shape.Hidden, columns)) + 1)];
        Parallel.For(0, _matrices.Length, i => _matrices[i] = MatrixOf(shape.Hidden, columns, i));
    }

    /// <summary>Measures everything, in turn, as often as there are rounds.</summary>
    public KernelReport Run(MachineFacts machine, ReadCeiling ceiling, Action progress, CancellationToken cancellation)
    {
        List<double>[] experts = [.. _options.Rows.Select(_ => new List<double>())];
        List<double>[] matrices = [.. _options.Rows.Select(_ => new List<double>())];
        // The first of each is compiled while it runs and does not count.
        for (int round = -1; round < _options.Rounds; round++)
        {
            ceiling.Measure();
            for (int i = 0; i < experts.Length; i++)
            {
                cancellation.ThrowIfCancellationRequested();
                double expert = Experts(_options.Rows[i]);
                double matrix = Matrices(_options.Rows[i]);
                if (round < 0)
                    continue;
                experts[i].Add(expert);
                matrices[i].Add(matrix);
                progress();
            }
        }

        ceiling.Measure();
        string matrixName = $"BF16 {_matrices[0].Rows} × {_matrices[0].Columns}";
        KernelResult[] results =
        [
            .. _options.Rows.Select((rows, i) => ResultOf(_expertName, rows, experts[i], ceiling)),
            .. _options.Rows.Select((rows, i) => ResultOf(matrixName, rows, matrices[i], ceiling)),
        ];
        double ceilingRate = ceiling.BytesPerSecond / 1e9;
        return new KernelReport(results.Any(result => result.GBPerSecond.Max > ceilingRate), machine, _options, ceilingRate, ceiling.Best, results);
    }

    public void Dispose()
    {
        foreach (Bf16Matrix matrix in _matrices)
            matrix.Dispose();
        _device.Dispose();
        _compute.Dispose();
    }

    private static KernelResult ResultOf(string kernel, int rows, List<double> rates, ReadCeiling ceiling)
    {
        Rounds rounds = Rounds.Of([.. rates.Select(rate => rate / 1e9)]);
        return new KernelResult(kernel, rows, rounds, rounds.Median * 1e9 / ceiling.BytesPerSecond);
    }

    /// <summary>All experts once; bytes a second.</summary>
    private double Experts(int rows)
    {
        int perCall = _config.ExpertsPerToken;
        using ExpertWork work = _device.CreateWork(rows, rows * perCall);
        Random random = new(2);
        work.Reset(0, rows, rows * perCall);
        foreach (ref ushort value in work.Hidden)
            value = (ushort)(0x3F00 + random.Next(256) + (random.Next(2) << 15));
        for (int pair = 0; pair < rows * perCall; pair++)
            work.PairRows[pair] = pair / perCall;
        long started = Stopwatch.GetTimestamp();
        int done = 0;
        for (; done + perCall <= _config.RoutedExperts; done += perCall)
        {
            work.Reset(0, rows, rows * perCall);
            for (int pair = 0; pair < rows * perCall; pair++)
                work.PairExperts[pair] = done + (pair % perCall);
            _device.Forward(work);
            if (work.Statuses.ContainsAnyExcept(PairStatus.Done))
                throw new CommandException("The expert kernel did not answer for every row.");
        }

        return done * _expertBytes / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    /// <summary>All matrices once; bytes a second.</summary>
    private double Matrices(int rows)
    {
        Bf16Matrix any = _matrices[0];
        float[] input = new float[rows * any.Columns];
        float[] output = new float[rows * any.Rows];
        Random random = new(3);
        foreach (ref float value in input.AsSpan())
            value = random.NextSingle() - 0.5f;
        long started = Stopwatch.GetTimestamp();
        foreach (Bf16Matrix matrix in _matrices)
            matrix.Multiply(_compute, input, any.Columns, output, any.Rows, rows);
        return _matrices.Length * any.Bytes / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    private static Bf16Matrix MatrixOf(int rows, int columns, int seed)
    {
        Bf16Matrix matrix = new(rows, columns);
        Random random = new(seed);
        ushort[] row = new ushort[columns];
        foreach (ref ushort value in row.AsSpan())
            value = (ushort)(0x3C00 + random.Next(512));
        for (int i = 0; i < rows; i++)
            matrix.SetRows(i, row);
        return matrix;
    }
}
