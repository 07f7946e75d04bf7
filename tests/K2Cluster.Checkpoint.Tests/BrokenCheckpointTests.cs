using System.Diagnostics;
using K2Cluster.Tests;

namespace K2Cluster.Checkpoint.Tests;

public sealed class BrokenCheckpointTests
{
    public static TheoryData<string> Names => [.. BrokenCheckpoints.All.Select(broken => broken.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_broken_checkpoint_is_one_message_that_names_what_is_wrong(string name)
    {
        BrokenCheckpoint broken = BrokenCheckpoints.All.Single(broken => broken.Name == name);
        using TemporaryDirectory directory = broken.Create();
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long started = Stopwatch.GetTimestamp();

        CheckpointException failure = Assert.Throws<CheckpointException>(() =>
        {
            using ModelDirectory model = ModelDirectory.Open(directory.Path);
            Checkpoints.CheckAll(model);
        });

        Assert.True(Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(30), $"took {Stopwatch.GetElapsedTime(started)}");
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - allocated, 0, 32 << 20);
        Assert.All(broken.Mentions, mention => Assert.Contains(mention, failure.Message));
        Assert.DoesNotContain(failure.Message, char.IsControl);
        Assert.InRange(failure.Message.Length, 20, 500);
    }
}
