namespace K2Cluster.PtxEmulator.Tests.Kernels;

/// <summary>A layer's work for the kernels: shapes, which row goes to which expert, how it is launched.</summary>
internal sealed record ExpertCase
{
    public bool Bf16 { get; init; }

    public bool Large { get; init; }

    public string Target { get; init; } = "sm_80";

    public int Hidden { get; init; } = 160;

    public int Intermediate { get; init; } = 96;

    public int Experts { get; init; } = 5;

    /// <summary>Row and expert of each pair. Expert 3 has no slot.</summary>
    public (int Row, int Expert)[] Pairs { get; init; } = [(0, 1), (0, 4), (1, 1), (2, 0), (2, 3), (3, 1)];

    public int Rows => Pairs.Max(pair => pair.Row) + 1;

    public int RowsPerBlock { get; init; } = 8;

    public int Threads { get; init; } = 128;

    public int Stages { get; init; } = 2;

    public int Grid { get; init; } = 3;

    public int Seed { get; init; } = 1;

    /// <summary>Changes a module's text before it is loaded: file name and text in, text out.</summary>
    public Func<string, string, string>? Edit { get; init; }

    public string Format => Bf16 ? "bf16" : "int4";

    public string Size => Large ? "large" : "small";

    public int BlockBytes => Bf16 ? 4096 : 1152;

    public long SlotBytes => ((((long)(Intermediate / 8) * Blocks(Hidden)) + ((long)(Hidden / 16) * Blocks(Intermediate))) * BlockBytes + 255) / 256 * 256;

    public static int Blocks(int inputs) => (inputs + 127) / 128;

    /// <summary>As kernels/README.md says.</summary>
    public int SharedBytes(int inputs) => Large
        ? Stages * (((Bf16 ? 4096 : 2304) * (Threads / 32)) + ((Bf16 ? 128 : 256) * RowsPerBlock))
        : (RowsPerBlock * ((256 * Blocks(inputs)) + 64)) + 128 + (4096 * (Threads / 128)) + ((Bf16 ? 1024 : 1152) * Stages * (Threads / 32));
}
