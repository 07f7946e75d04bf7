using BenchmarkDotNet.Attributes;
using K2Cluster.Cli;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Matrices;

namespace K2Cluster.Benchmarks;

/// <summary>A 2048 × 7168 product in BF16 (29 MB) for 1 to 64 rows, over weights that no cache holds.</summary>
[WeightBytes(CallBytes)]
public class Bf16MatrixBenchmarks
{
    /// <summary>Bytes of weights of one call.</summary>
    public const long CallBytes = 2L * Rows * Columns;

    private const int Rows = 2048;
    private const int Columns = 7168;
    private const int Copies = 12;

    private readonly Bf16Matrix[] _matrices = new Bf16Matrix[Copies];
    private readonly float[] _output = new float[64 * Rows];
    private float[] _input = [];
    private CpuCompute _compute = null!;
    private ReadCeiling _ceiling = null!;
    private int _next;

    [Params(1, 2, 4, 8, 16, 64)]
    public int Tokens { get; set; }

    [Params(CpuPath.Avx512, CpuPath.Avx2)]
    public CpuPath Path { get; set; }

    public int Threads { get; init; } = Environment.ProcessorCount;

    [GlobalSetup]
    public void Setup()
    {
        Random random = new(1);
        ushort[] row = new ushort[Columns];
        for (int i = 0; i < row.Length; i++)
            row[i] = (ushort)(0x3C00 + random.Next(512));
        for (int i = 0; i < Copies; i++)
        {
            _matrices[i] = new Bf16Matrix(Rows, Columns);
            for (int r = 0; r < Rows; r++)
                _matrices[i].SetRows(r, row);
        }

        _input = [.. Enumerable.Range(0, 64 * Columns).Select(_ => random.NextSingle() - 0.5f)];
        _compute = new CpuCompute(Threads, Path);
        _ceiling = new ReadCeiling(CallBytes * Copies, threads: 1);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        foreach (Bf16Matrix matrix in _matrices)
            matrix.Dispose();
        _ceiling.Dispose();
        _compute.Dispose();
    }

    [Benchmark(Baseline = true)]
    public void Ceiling() => _ceiling.Read(_compute, 2L * Rows * Columns);

    [Benchmark]
    public void Multiply()
    {
        _matrices[_next].Multiply(_compute, _input, Columns, _output, Rows, Tokens);
        _next = (_next + 1) % Copies;
    }
}
