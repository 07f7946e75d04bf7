using K2Cluster.GpuCheck.Verification;

namespace K2Cluster.GpuCheck;

/// <summary>What is verified and measured.</summary>
internal sealed record CheckPlan
{
    /// <summary>What is not yet measured after this is left out, and said to be.</summary>
    public TimeSpan Budget { get; init; } = TimeSpan.FromMinutes(4.5);

    public required IReadOnlyList<VerifiedShape> Verified { get; init; }

    /// <summary>Experts of K2 for the measures.</summary>
    public required ExpertSizes Int4 { get; init; }

    public required ExpertSizes Bf16 { get; init; }

    /// <summary>Of a layer; INT4 only, BF16 takes a sixth of them.</summary>
    public required int Experts { get; init; }

    public required int ExpertsPerToken { get; init; }

    public required IReadOnlyList<int> ActiveExperts { get; init; }

    public required IReadOnlyList<int> RowsPerExpert { get; init; }

    /// <summary>Rows for each of eight active experts, as in a prefill.</summary>
    public required IReadOnlyList<int> PrefillRows { get; init; }

    public required IReadOnlyList<int> Batches { get; init; }

    /// <summary>How often each thing is timed, at least.</summary>
    public required int Rounds { get; init; }

    /// <summary>Bytes of each copy; more where four times the L2 is more.</summary>
    public required long CopyBytes { get; init; }

    /// <summary>Weights go round so many times the L2.</summary>
    public int L2Times { get; init; } = 4;

    /// <summary>K2's shapes, and edges.</summary>
    public static CheckPlan Full { get; } = new()
    {
        Verified =
        [
            .. Both(64, 96).Select(sizes => new VerifiedShape(sizes) { Kinds = Enum.GetValues<WeightKind>() }),
            .. Both(32, 32).Select(sizes => new VerifiedShape(sizes) { Rows = [1, 9, 65] }),
            .. Both(160, 544).Select(sizes => new VerifiedShape(sizes) { Rows = [1, 8, 64, 129] }),
            new VerifiedShape(new ExpertSizes(96, 64, IsInt4: true)) { Rows = [1, 7], RoutedExperts = 384, RoutedPerRow = 8, RoutedRows = 256 },
            .. Both(2048, 1408).Select(sizes => new VerifiedShape(sizes) { Rows = [1, 8, 9, 64, 65, 300] }),
            .. Both(7168, 2048).Select(sizes => new VerifiedShape(sizes) { Kinds = Enum.GetValues<WeightKind>(), KindRows = [9, 65], Sample = 16 }),
        ],
        Int4 = new ExpertSizes(7168, 2048, IsInt4: true),
        Bf16 = new ExpertSizes(7168, 2048, IsInt4: false),
        Experts = 384,
        ExpertsPerToken = 8,
        ActiveExperts = [1, 2, 4, 8, 16, 32, 64, 128, 256, 384],
        RowsPerExpert = [1, 2, 4, 8, 16, 32, 64],
        PrefillRows = [256, 1024],
        Batches = [1, 8, 32, 256],
        Rounds = 10,
        CopyBytes = 1L << 30,
    };

    /// <summary>All kernels in seconds on a card, or in an emulator: small shapes, and figures that say nothing.</summary>
    public static CheckPlan Quick { get; } = Full with
    {
        Verified =
        [
            .. Both(64, 96).Select(sizes => new VerifiedShape(sizes) { Rows = [1, 9, 40], Kinds = Enum.GetValues<WeightKind>(), KindRows = [2], IsBrief = true }),
            new VerifiedShape(new ExpertSizes(160, 32, IsInt4: true)) { Rows = [3], IsBrief = true },
        ],
        Int4 = new ExpertSizes(64, 96, IsInt4: true),
        Bf16 = new ExpertSizes(64, 96, IsInt4: false),
        Experts = 12,
        ExpertsPerToken = 2,
        ActiveExperts = [2],
        RowsPerExpert = [1, 9],
        PrefillRows = [],
        Batches = [2],
        Rounds = 1,
        CopyBytes = 1 << 14,
        L2Times = 0,
    };

    private static ExpertSizes[] Both(int hidden, int intermediate) => [new(hidden, intermediate, IsInt4: true), new(hidden, intermediate, IsInt4: false)];
}
