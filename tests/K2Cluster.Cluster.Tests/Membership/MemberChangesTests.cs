using System.Collections.Immutable;
using System.Threading.Channels;
using K2Cluster.Cluster.Membership;
using Microsoft.Extensions.Logging.Abstractions;

namespace K2Cluster.Cluster.Tests.Membership;

public class MemberChangesTests
{
    private static readonly ClusterMembershipSnapshot Snapshot = new(ImmutableDictionary<SiloAddress, ClusterMember>.Empty, default);

    [Fact]
    public async Task What_waits_for_an_answer_is_let_go_at_each_change_and_the_next_waits_anew()
    {
        Members members = new();
        using MemberChanges changes = new(members, NullLogger.Instance);
        using CancellationTokenSource stopping = new();
        int seen = 0;
        Task following = changes.FollowAsync(_ => Interlocked.Increment(ref seen), stopping.Token);
        for (int i = 1; i <= 2; i++)
        {
            Task call = new TaskCompletionSource().Task.WaitAsync(changes.Next);
            await members.Updates.Writer.WriteAsync(Snapshot);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
            Assert.False(changes.Next.IsCancellationRequested);
            Assert.Equal(i, Volatile.Read(ref seen));
        }

        await stopping.CancelAsync();
        await following;
    }

    [Fact]
    public async Task The_end_of_membership_ends_nobody_else()
    {
        Members members = new();
        using MemberChanges changes = new(members, NullLogger.Instance);
        members.Updates.Writer.Complete(new InvalidOperationException("the table is gone"));
        await changes.FollowAsync(_ => { }, CancellationToken.None);
        Assert.False(changes.Next.IsCancellationRequested);
    }

    private sealed class Members : IClusterMembershipService
    {
        public Channel<ClusterMembershipSnapshot> Updates { get; } = Channel.CreateUnbounded<ClusterMembershipSnapshot>();

        public ClusterMembershipSnapshot CurrentSnapshot => Snapshot;

        public IAsyncEnumerable<ClusterMembershipSnapshot> MembershipUpdates => Updates.Reader.ReadAllAsync();

        public ValueTask Refresh(MembershipVersion minimumVersion = default, CancellationToken cancellationToken = default) => ValueTask.CompletedTask;

        public Task<bool> TryKill(SiloAddress siloAddress) => throw new NotSupportedException();
    }
}
