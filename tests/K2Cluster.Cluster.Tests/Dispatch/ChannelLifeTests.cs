using K2Cluster.Cluster.Dispatch;
using K2Cluster.Contracts;
using Microsoft.Extensions.Logging.Abstractions;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>How long the dispatcher keeps the way to a shard.</summary>
public sealed class ChannelLifeTests
{
    [Fact]
    public void A_channel_lives_from_plan_to_plan_as_long_as_its_shard_does()
    {
        MadeUpChannels plans = new(new ExpertGrid(1, 1, 4));
        Factory factory = new();
        using (ExpertDispatcher dispatcher = new(plans.Board, factory, new DispatchOptions(), TimeProvider.System, NullLogger<ExpertDispatcher>.Instance))
        {
            plans.Publish(2, expert => [expert % 2]);
            IExpertChannel first = dispatcher.Routes()!.Channel(0);
            ShardPace pace = dispatcher.Routes()!.Pace(0);
            plans.Publish(1, _ => [0]);
            Assert.Same(first, dispatcher.Routes()!.Channel(0));
            Assert.Equal([1], factory.Disposed);

            plans.Publish(1, _ => [0], incarnation: 2);
            Assert.NotSame(first, dispatcher.Routes()!.Channel(0));
            Assert.Same(pace, dispatcher.Routes()!.Pace(0));
            Assert.Equal([1, 0], factory.Disposed);
        }

        Assert.Equal([1, 0, 0], factory.Disposed);
    }

    private sealed class Factory : IChannelFactory
    {
        public List<int> Disposed { get; } = [];

        public IExpertChannel Create(PlannedShard shard) => new Channel(shard.Id, Disposed);
    }

    private sealed class Channel(ShardId shard, List<int> disposed) : IExpertChannel, IDisposable
    {
        public ShardId Shard => shard;

        public int PairsInFlight => 0;

        public ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken) => throw new NotSupportedException();

        public void Suspect(int expert, bool isSure) => throw new NotSupportedException();

        public void Dispose() => disposed.Add(shard.Slot);
    }
}
