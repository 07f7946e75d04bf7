using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli;

/// <summary>Waits until a drained silo holds nothing, and tells how far it is.</summary>
internal sealed class DrainWait(IClusterConnection connection, TextWriter error, TimeProvider time)
{
    private const int Failed = 1;

    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(250);

    public async Task<int> RunAsync(string silo, CancellationToken cancellation)
    {
        long told = -1;
        while (true)
        {
            ClusterStatus status = await connection.AskAsync((client, options) => client.GetStatusAsync(new GetStatusRequest(), options), cancellation);
            ShardState[] shards = [.. status.Shards.Where(shard => shard.Silo == silo)];
            if (!status.Wishes.Drained.Contains(silo))
            {
                error.WriteLine($"{TerminalText.Of(silo)} is not to be drained any more: somebody has taken it back.");
                return Failed;
            }

            long held = shards.Sum(shard => shard.Held);
            if (held == 0)
            {
                error.WriteLine(shards.Length == 0 ? $"{TerminalText.Of(silo)} is gone." : $"{TerminalText.Of(silo)} holds nothing now: it can be stopped.");
                return 0;
            }

            // What is to stay will not go by waiting.
            long staying = shards.Sum(shard => shard.Owned + shard.Replicas);
            long loading = status.Shards.Sum(shard => shard.Loading);
            if (staying > 0 && staying == held && loading == 0)
            {
                error.WriteLine($"{TerminalText.Of(silo)} still holds {Experts(staying)}, and {(staying == 1 ? "it goes by itself" : "they go by themselves")} when another shard has room.");
                foreach (string note in await RemediesAsync(silo, cancellation))
                    error.WriteLine(TerminalText.Of(note));
                return Failed;
            }

            if (held != told)
            {
                ShardState? stuck = status.Shards.FirstOrDefault(shard => shard.Problem.Length > 0);
                error.WriteLine($"{TerminalText.Of(silo)} holds {Experts(held)}{(loading > 0 ? $", others load {loading:N0}" : "")}{(stuck is null ? "" : TerminalText.Of($"; {stuck.Id}: {stuck.Problem}"))}");
            }

            told = held;
            await Task.Delay(Interval, time, cancellation);
        }
    }

    /// <summary>What can be done about it now, as the placement knows: it may be other than when the drain began.</summary>
    private async Task<IEnumerable<string>> RemediesAsync(string silo, CancellationToken cancellation)
    {
        ChangeRequest request = new() { WhatIf = true, Changes = { new PlacementChange { Drain = new Drain { Silo = silo } } } };
        return (await connection.AskAsync((client, options) => client.ChangeAsync(request, options), cancellation)).Notes;
    }

    private static string Experts(long count) => count == 1 ? "1 expert" : $"{count:N0} experts";
}
