using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using K2Cluster.Cluster.Dispatch;
using K2Cluster.Cluster.Plans;
using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Tests.Dispatch;

/// <summary>Shards as a test wants them, and a plan over them. A shard answers at once and right unless told otherwise.</summary>
internal sealed class MadeUpChannels(ExpertGrid grid) : IChannelFactory
{
    private readonly ConcurrentDictionary<ShardId, Channel> _channels = new();
    private long _counter;

    public PlanBoard Board { get; } = new();

    public Channel this[int slot] => _channels.GetOrAdd(Shard(slot), shard => new Channel(shard));

    public static ShardId Shard(int slot) => new("m", "s", slot);

    public IExpertChannel Create(PlannedShard shard) => this[shard.Id.Slot];

    /// <summary>Publishes a plan by which <paramref name="replicas"/> gives the slots that hold an expert; its shards are those of the slots from <paramref name="first"/> on.</summary>
    public void Publish(int slots, Func<int, int[]> replicas, long incarnation = 1, string? incomplete = null, int first = 0, float[]? speeds = null)
    {
        List<int> starts = [0];
        List<int> shards = [];
        for (int expert = 0; expert < grid.Count; expert++)
        {
            shards.AddRange(replicas(expert).Select(slot => slot - first));
            starts.Add(shards.Count);
        }

        Board.Publish(new PlacementPlan
        {
            Epoch = new Epoch(1, Interlocked.Increment(ref _counter)),
            Grid = grid,
            Shards = [.. Enumerable.Range(first, slots - first).Select(slot => new PlannedShard(Shard(slot), incarnation, "cpu", "int4-g32"))],
            ReplicaStarts = [.. starts],
            ReplicaShards = [.. shards],
            Incomplete = incomplete,
            Speeds = [.. speeds ?? []],
        });
    }

    internal sealed class Channel(ShardId shard) : IExpertChannel
    {
        private int _looks;

        public ShardId Shard => shard;

        public int PairsInFlight { get; set; }

        public bool IsSilent
        {
            get
            {
                Interlocked.Increment(ref _looks);
                return field;
            }
            set;
        }

        /// <summary>How often <see cref="IsSilent"/> was asked: at least once in each round of a batch that waits for this shard.</summary>
        public int Looks => Volatile.Read(ref _looks);

        /// <summary>What to do with a frame; null answers it.</summary>
        public Func<ExpertFrame, CancellationToken, Task<ExpertReply>?>? Handle { get; set; }

        /// <summary>Whether it computes on the threads of its callers.</summary>
        public bool ComputesHere { get; set; }

        /// <summary>What becomes of an expert that is computed here; what it throws, computing throws.</summary>
        public Func<int, PairStatus> StatusHere { get; set; } = _ => PairStatus.Done;

        /// <summary>The threads that computed here.</summary>
        public List<int> Threads { get; } = [];

        public string? Compute(ExpertBatch batch, Span<PairStatus> pairs)
        {
            Threads.Add(Environment.CurrentManagedThreadId);
            int hidden = batch.HiddenSize;
            for (int pair = 0; pair < pairs.Length; pair++)
            {
                int expert = batch.ExpertIds.Span[pair];
                pairs[pair] = StatusHere(expert);
                for (int i = 0; i < hidden && pairs[pair] == PairStatus.Done; i++)
                    batch.Outputs.Span[(pair * hidden) + i] = MadeUpDevice.Output(batch.Hidden.Span[(pair / batch.ExpertsPerToken * hidden) + i], batch.Layer, expert);
            }

            return pairs.Contains(PairStatus.Failed) ? "made up" : null;
        }

        /// <summary>Experts that it was told it gave no finite numbers for.</summary>
        public ConcurrentQueue<(int Expert, bool IsSure)> Suspected { get; } = new();

        public void Suspect(int expert, bool isSure) => Suspected.Enqueue((expert, isSure));

        public ConcurrentQueue<(int Rows, int Pairs, long Incarnation)> Frames { get; } = new();

        public ValueTask<ExpertReply> SubmitAsync(ExpertFrame frame, CancellationToken cancellationToken)
        {
            Frames.Enqueue((frame.Rows, frame.Pairs, frame.Incarnation));
            return Handle?.Invoke(frame, cancellationToken) is { } answer ? new ValueTask<ExpertReply>(answer) : ValueTask.FromResult(Answer(frame));
        }

        public static ExpertReply Answer(ExpertFrame frame, Func<int, PairStatus>? statusOf = null)
        {
            int hidden = frame.HiddenSize;
            ReadOnlySpan<ushort> rows = MemoryMarshal.Cast<byte, ushort>(frame.Payload.Span[..(frame.Rows * hidden * 2)]);
            ReadOnlySpan<int> pairs = MemoryMarshal.Cast<byte, int>(frame.Payload.Span[(frame.Rows * hidden * 2)..]);
            ExpertReply reply = new() { Status = ReplyStatus.Computed, Pairs = frame.Pairs, HiddenSize = hidden, Problem = statusOf is null ? null : "made up" };
            reply.Rent(ExpertReply.PayloadLength(frame.Pairs, hidden));
            Span<ushort> outputs = MemoryMarshal.Cast<byte, ushort>(reply.Payload.Span[ExpertReply.StatusLength(frame.Pairs)..]);
            for (int pair = 0; pair < frame.Pairs; pair++)
            {
                int expert = pairs[(2 * pair) + 1];
                reply.Payload.Span[pair] = (byte)(statusOf?.Invoke(expert) ?? PairStatus.Done);
                for (int i = 0; i < hidden; i++)
                    outputs[(pair * hidden) + i] = MadeUpDevice.Output(rows[(pairs[2 * pair] * hidden) + i], frame.Layer, expert);
            }

            frame.Dispose();
            return reply;
        }
    }
}
