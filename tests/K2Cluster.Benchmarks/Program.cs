using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using K2Cluster.Benchmarks;

if (args is ["step-profile", "--model", string model, .. string[] ofModel])
{
    StepProfile.Print(model, ofModel);
    return;
}

if (args is ["step-profile", .. string[] scenarios])
{
    StepProfile.Print(model: null, scenarios);
    return;
}

if (args is ["clock"])
{
    ClockTable.Print();
    return;
}

// In this process: a generated project would not inherit the repository's package versions.
IConfig config = ManualConfig.Create(DefaultConfig.Instance)
    .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(3).WithIterationCount(9))
    .AddDiagnoser(MemoryDiagnoser.Default)
    .AddColumn(StatisticColumn.Median, new WeightBandwidthColumn());
BenchmarkSwitcher.FromAssembly(typeof(StepProfile).Assembly).Run(args, config);
