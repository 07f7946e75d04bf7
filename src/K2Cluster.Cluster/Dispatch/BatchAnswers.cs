using K2Cluster.Contracts;
using K2Cluster.Kernels.Devices;
using K2Cluster.Kernels.Experts;

namespace K2Cluster.Cluster.Dispatch;

/// <summary>Takes answers into a batch. Whatever a shard sends, nothing that is not whole and finite gets there.</summary>
internal sealed class BatchAnswers(DispatchPairs pairs, ExpertDispatcher dispatcher)
{
    /// <summary>Takes the answer of a call.</summary>
    /// <returns>What became of it (a value of the tag k2.outcome), and why in words when pairs of it stay open.</returns>
    public (string Outcome, string? Problem) Take(DispatchCall call, ExpertBatch batch)
    {
        try
        {
            using ExpertReply reply = call.TakeReply();
            return Take(reply, call, batch);
        }
        catch (Exception exception)
        {
            return ("unavailable", exception is ShardUnavailableException ? exception.Message : $"Shard {call.Channel.Shard}: {exception.Message}");
        }
    }

    private (string Outcome, string? Problem) Take(ExpertReply reply, DispatchCall call, ExpertBatch batch)
    {
        ShardId shard = call.Channel.Shard;
        switch (reply.Status)
        {
            case ReplyStatus.WrongIncarnation:
                return ("wrong_incarnation", $"Shard {shard} has restarted since the plan was made.");
            case ReplyStatus.Busy:
                return ("busy", $"Shard {shard}'s queue is full.");
            case ReplyStatus.Malformed:
                // Sent again it would be refused again.
                batch.Problem ??= $"Shard {shard} refused the frame: {reply.Problem}";
                foreach (int pair in call.Pairs)
                {
                    if (pairs.IsPending(pair))
                        pairs.Set(pair, PairStatus.Failed);
                }

                return ("malformed", null);
            case ReplyStatus.Computed when DispatchPairs.IsWhole(reply, call.Pairs.Length, batch.HiddenSize):
                return TakePairs(reply, call, batch);
            default:
                return ("unavailable", $"Shard {shard} sent a malformed reply: status {reply.Status}, {reply.Pairs} pairs of {reply.HiddenSize} in {reply.Length} bytes, for {call.Pairs.Length} pairs of {batch.HiddenSize}.");
        }
    }

    private (string Outcome, string? Problem) TakePairs(ExpertReply reply, DispatchCall call, ExpertBatch batch)
    {
        ShardId shard = call.Channel.Shard;
        ReadOnlySpan<int> order = call.Pairs;
        (string Outcome, string? Problem) result = ("ok", null);
        for (int i = 0; i < order.Length; i++)
        {
            int pair = order[i];
            if (!pairs.IsPending(pair))
                continue; // another replica was sooner
            int expert = batch.ExpertIds.Span[pair];
            switch ((PairStatus)reply.Payload.Span[i])
            {
                case PairStatus.Done when DispatchPairs.TryCopy(reply, i, batch, pair):
                    pairs.Set(pair, PairStatus.Done);
                    if (pairs.FaultOf(pair) is var (routes, faulty))
                        Tell(routes, faulty, routes.Plan.Grid.Index(batch.Layer, expert), isSure: true);
                    break;
                case PairStatus.Done:
                    result = ("not_finite", TakeFault(call, batch, pair, expert));
                    break;
                case PairStatus.Failed:
                    batch.Problem ??= $"Shard {shard} failed on expert {expert} of layer {batch.Layer}: {reply.Problem ?? "no reason given"}";
                    pairs.Set(pair, PairStatus.Failed);
                    break;
                default:
                    result = ("not_held", $"Shard {shard} does not hold all experts that the plan says it does.");
                    break;
            }
        }

        return result;
    }

    /// <summary>
    /// A pair came back as NaN or infinite: the replica is not asked for a while; but where two agree, or the only one does so
    /// again after that while, it is the input. The only one is told at once; others when another has done better.
    /// </summary>
    private string? TakeFault(DispatchCall call, ExpertBatch batch, int pair, int expert)
    {
        int index = call.Routes.Plan.Grid.Index(batch.Layer, expert);
        bool isOnly = call.Routes.Plan.ReplicasOf(index).Length == 1;
        (int times, bool isNew) = dispatcher.Faults.Add(call.Routes.Plan.Shards[call.Shard], index, isOnly);
        if (isNew)
            dispatcher.NoteFault(call.Routes, call.Shard, batch.Layer, expert);
        bool isInput = pairs.AddFault(pair, call.Routes, call.Shard) > 1;
        if (isInput)
            dispatcher.Faults.Forgive(index);
        else if (isOnly)
            Tell(call.Routes, call.Shard, index, isSure: false);
        if (!isInput && (times == 1 || !isOnly))
            return $"Shard {call.Channel.Shard} gave no finite numbers for expert {expert} of layer {batch.Layer}.";

        batch.Problem ??= $"Expert {expert} of layer {batch.Layer} gives no finite numbers for this input, on {(isInput ? "two shards" : $"shard {call.Channel.Shard} again")}.";
        pairs.Set(pair, PairStatus.Failed);
        return null;
    }

    private void Tell(RouteTable routes, int shard, int expert, bool isSure)
    {
        if (dispatcher.Faults.MayTell(routes.Plan.Shards[shard], expert))
            routes.Channel(shard).Suspect(expert, isSure);
    }
}
