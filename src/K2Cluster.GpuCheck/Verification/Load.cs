namespace K2Cluster.GpuCheck.Verification;

/// <summary>A call: which rows go to which experts.</summary>
/// <param name="Name">For people.</param>
/// <param name="Pairs">Row and expert of each.</param>
internal sealed record Load(string Name, (int Row, int Expert)[] Pairs)
{
    /// <summary>Rows of the call.</summary>
    public int Rows { get; init; } = Pairs.Max(pair => pair.Row) + 1;

    /// <summary>Two rows, and pairs of rows and experts just beyond the first and the last.</summary>
    /// <param name="experts">Of a layer of the table.</param>
    public static Load Strays(int experts) => new("pairs out of range", [(0, 0), (2, 0), (0, experts), (-1, 0), (0, -1), (1, 0)]) { Rows = 2 };

    /// <summary>Whether there is no such row, or no such expert.</summary>
    /// <param name="pair">One of the pairs.</param>
    /// <param name="experts">Of a layer of the table.</param>
    public bool IsStray(int pair, int experts) => (uint)Pairs[pair].Row >= (uint)Rows || (uint)Pairs[pair].Expert >= (uint)experts;

    /// <summary>One expert and so many rows.</summary>
    public static Load OfOne(int rows) => new($"{rows} {(rows == 1 ? "row" : "rows")} of one expert", [.. Enumerable.Range(0, rows).Select(row => (row, 0))]);

    /// <summary>Every row goes to one expert and a few to another; the rest get nothing.</summary>
    public static Load Hot(int rows) => new($"{rows} rows, one hot expert", [.. Enumerable.Range(0, rows).SelectMany(row => (IEnumerable<(int, int)>)(row % 16 == 5 ? [(row, 1), (row, 0)] : [(row, 1)]))]);

    /// <summary>Rows with distinct experts each, as a router gives them.</summary>
    public static Load Routed(int rows, int perRow, int experts, int seed)
    {
        Random random = new(seed);
        int[] all = [.. Enumerable.Range(0, experts)];
        List<(int, int)> pairs = [];
        for (int row = 0; row < rows; row++)
        {
            random.Shuffle(all);
            pairs.AddRange(all.Take(perRow).Select(expert => (row, expert)));
        }

        return new Load($"{rows} rows over {experts} experts", [.. pairs]);
    }
}
