using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;

namespace K2Cluster.Benchmarks;

/// <summary>Bytes of weights that one operation reads, per second.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class WeightBytesAttribute(long bytes) : Attribute
{
    public long Bytes { get; } = bytes;
}

/// <summary>GB/s of weights at the median, for classes that state <see cref="WeightBytesAttribute"/>.</summary>
internal sealed class WeightBandwidthColumn : IColumn
{
    public string Id => nameof(WeightBandwidthColumn);

    public string ColumnName => "Weights GB/s";

    public bool AlwaysShow => true;

    public ColumnCategory Category => ColumnCategory.Custom;

    public int PriorityInCategory => 0;

    public bool IsNumeric => true;

    public UnitType UnitType => UnitType.Dimensionless;

    public string Legend => "10^9 bytes of weights per second, at the median";

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase)
    {
        object[] stated = benchmarkCase.Descriptor.Type.GetCustomAttributes(typeof(WeightBytesAttribute), false);
        double? nanoseconds = summary[benchmarkCase]?.ResultStatistics?.Median;
        return stated is [WeightBytesAttribute weights] && nanoseconds is double time
            ? (weights.Bytes / time).ToString("F1", CultureInfo.InvariantCulture)
            : "-";
    }

    public string GetValue(Summary summary, BenchmarkCase benchmarkCase, SummaryStyle style) => GetValue(summary, benchmarkCase);

    public bool IsDefault(Summary summary, BenchmarkCase benchmarkCase) => false;

    public bool IsAvailable(Summary summary) => true;
}
