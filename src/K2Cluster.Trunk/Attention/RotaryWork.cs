using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Steps;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// Turns the position part of a row's queries and key, and writes the row's latent and key into the cache in BF16. Rows of
/// a sequence that left the step write nothing.
/// </summary>
internal readonly unsafe struct RotaryWork(
    ModelConfig config, KvMemory memory, int layer, StepRows step, int firstRow, float* kv, nint kvStride, float* queries, nint queryStride, RowBuffer latentQueries) : IRowWork
{
    public void Row<TLanes>(int row)
        where TLanes : struct, ILanes<TLanes>
    {
        int stepRow = firstRow + row;
        if (!step.IsLive(stepRow))
            return;

        int size = config.QkRopeHeadDim;
        float* cos = step.Cos.Row(stepRow);
        float* sin = step.Sin.Row(stepRow);
        float* query = queries + (row * queryStride) + config.QkNopeHeadDim;
        float* latentQuery = latentQueries.Row(row) + memory.LatentWidth;
        for (int head = 0; head < config.HeadCount; head++, query += config.QkHeadDim, latentQuery += memory.TokenWidth)
            Turn(query, latentQuery, cos, sin, size);

        float* latent = kv + (row * kvStride);
        float* key = latent + config.KvLoraRank;
        Turn(key, key, cos, sin, size);

        int position = step.Positions[stepRow];
        ushort* token = memory.Page(layer, step.PageTable[step.FirstPages[stepRow] + (position / ITrunk.PageTokens)])
            + ((nint)(position % ITrunk.PageTokens) * memory.TokenWidth);
        Span<ushort> stored = new(token, memory.TokenWidth);
        stored.Clear();
        Bf16.Round(new ReadOnlySpan<float>(latent, config.KvLoraRank), stored);
        Bf16.Round(new ReadOnlySpan<float>(key, size), stored[memory.LatentWidth..]);
    }

    private static void Turn(float* from, float* to, float* cos, float* sin, int size)
    {
        for (int i = 0; i < size; i += 2)
        {
            float even = from[i];
            float odd = from[i + 1];
            to[i] = (even * cos[i / 2]) - (odd * sin[i / 2]);
            to[i + 1] = (even * sin[i / 2]) + (odd * cos[i / 2]);
        }
    }
}
