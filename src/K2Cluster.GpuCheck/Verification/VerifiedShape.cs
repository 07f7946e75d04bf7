namespace K2Cluster.GpuCheck.Verification;

/// <summary>What is verified of one shape.</summary>
internal sealed record VerifiedShape(ExpertSizes Sizes)
{
    private static readonly Variant[] All =
    [
        new(IsLarge: false, 8), new(IsLarge: false, 4), new(IsLarge: false, 1), new(IsLarge: false, 8, IsAlone: true),
        new(IsLarge: true, 64), new(IsLarge: true, 32), new(IsLarge: true, 16), new(IsLarge: true, 8), new(IsLarge: true, 64, IsAlone: true),
    ];

    private static readonly Variant[] Few = [new(IsLarge: false, 8), new(IsLarge: false, 2, IsAlone: true), new(IsLarge: true, 16), new(IsLarge: true, 64)];

    /// <summary>Rows of one expert, with random weights.</summary>
    public IReadOnlyList<int> Rows { get; init; } = [4096, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 1000];

    public IReadOnlyList<WeightKind> Kinds { get; init; } = [WeightKind.Random];

    /// <summary>Rows of one expert, with other weights.</summary>
    public IReadOnlyList<int> KindRows { get; init; } = [1, 8, 9, 64, 65];

    public int RoutedExperts { get; init; } = 5;

    public int RoutedPerRow { get; init; } = 3;

    public int RoutedRows { get; init; } = 40;

    /// <summary>Elements of each row compared with FP64; all of them in the first two.</summary>
    public int Sample { get; init; } = 64;

    /// <summary>Few ways to launch.</summary>
    public bool IsBrief { get; init; }

    public IReadOnlyList<Variant> Variants => IsBrief ? Few : All;

    /// <summary>Every third expert has no slot.</summary>
    public IReadOnlyList<int> Held => [.. Enumerable.Range(0, RoutedExperts).Where(expert => expert % 3 != 2)];

    public IReadOnlyList<Load> Loads(WeightKind kind) => kind == WeightKind.Random
        ? [.. Rows.Select(Load.OfOne), Load.Hot(IsBrief ? 20 : 128), Load.Routed(IsBrief ? 6 : RoutedRows, RoutedPerRow, RoutedExperts, seed: 3), Load.Strays(VerifiedLayer.TableSize(Held))]
        : [.. KindRows.Select(Load.OfOne)];
}
