using System.Runtime.CompilerServices;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// Softmax(query · keys) · latents for parts of a block of rows. What a row and head give depends on the row's position
/// only: an online softmax over tiles of 64 tokens at absolute positions, begun anew at each split of 16 tiles (1,024
/// positions); the splits are joined from left to right, here where a part does them all, else by <see cref="AttentionRows"/>.
/// A row at position p reads positions 0..p and nothing else.
/// </summary>
internal readonly unsafe struct AttentionWork(AttentionRows rows, AttentionPart[] parts) : ICpuWork
{
    private const int Tokens = ITrunk.PageTokens;
    private const int SplitTiles = AttentionRows.SplitTokens / Tokens;
    private const int MaxPairs = RowGroup.MaxRows * AttentionPart.MaxHeads;

    [SkipLocalsInit]
    public void Part<TLanes>(int index)
        where TLanes : struct, ILanes<TLanes>
    {
        AttentionPart part = parts[index];
        Softmax* states = stackalloc Softmax[MaxPairs];
        if (part.Split >= 0)
        {
            Split<TLanes>(part, part.Split, states);
            for (int i = 0; i < part.Group.Count; i++)
                new ReadOnlySpan<Softmax>(states + (i * AttentionPart.MaxHeads), part.Heads).CopyTo(rows.States(part.Group, i, part.Split)[part.FirstHead..]);
            return;
        }

        Softmax* totals = stackalloc Softmax[MaxPairs];
        int splits = part.Group.Splits;
        for (int split = 0; split < splits; split++)
        {
            Split<TLanes>(part, split, split == 0 ? totals : states);
            for (int i = 0; split > 0 && i < part.Group.Count; i++)
            {
                if (part.Group.Position + i >= split * AttentionRows.SplitTokens)
                    rows.Join<TLanes>(part.Group, i, split, part.FirstHead, new Span<Softmax>(totals + (i * AttentionPart.MaxHeads), part.Heads), new ReadOnlySpan<Softmax>(states + (i * AttentionPart.MaxHeads), part.Heads));
            }
        }

        for (int i = 0; i < part.Group.Count; i++)
            rows.Finish<TLanes>(part.Group, i, part.FirstHead, new ReadOnlySpan<Softmax>(totals + (i * AttentionPart.MaxHeads), part.Heads));
    }

    private void Split<TLanes>(AttentionPart part, int split, Softmax* states)
        where TLanes : struct, ILanes<TLanes>
    {
        new Span<Softmax>(states, MaxPairs).Fill(Softmax.Empty);
        int first = split * SplitTiles;
        int end = Math.Min(first + SplitTiles, (part.Group.LastPosition / Tokens) + 1);
        for (int tile = first; tile < end; tile++)
            Tile<TLanes>(part, split, tile, states, resume: tile > first, next: tile + 1 < end ? rows.Page(part.Group, tile + 1) : null);
    }

    /// <summary>All rows and heads of the part while the tile is in the cache, four heads at a time.</summary>
    private void Tile<TLanes>(AttentionPart part, int split, int tile, Softmax* states, bool resume, ushort* next)
        where TLanes : struct, ILanes<TLanes>
    {
        ushort* page = rows.Page(part.Group, tile);
        int blocks = (part.Heads + AttentionKernel.HeadGroup - 1) / AttentionKernel.HeadGroup;
        int share = next is null ? 0 : Tokens * rows.TokenWidth * sizeof(ushort) / blocks;
        byte* ahead = (byte*)next;
        for (int i = 0; i < part.Group.Count; i++)
        {
            int count = Math.Min(Tokens, part.Group.Position + i + 1 - (tile * Tokens));
            if (count <= 0)
                continue;
            float* query = rows.Query(part.Group, i);
            float* target = rows.Target(part.Group, i, split);
            for (int head = 0; head < part.Heads; head += AttentionKernel.HeadGroup)
            {
                int heads = Math.Min(AttentionKernel.HeadGroup, part.Heads - head);
                nint at = part.FirstHead + head;
                RowTile<TLanes>(query + (at * rows.TokenWidth), heads, page, count, states + (i * AttentionPart.MaxHeads) + head, target + (at * rows.LatentWidth), resume, ahead, share);
                ahead += share;
            }

            share = 0;
        }
    }

    [SkipLocalsInit]
    private void RowTile<TLanes>(float* query, int heads, ushort* page, int count, Softmax* states, float* output, bool resume, byte* ahead, int aheadBytes)
        where TLanes : struct, ILanes<TLanes>
    {
        float* scores = stackalloc float[AttentionKernel.HeadGroup * Tokens];
        float* factors = stackalloc float[LaneMath.LaneCount];
        float* sums = stackalloc float[AttentionKernel.HeadGroup];
        AttentionKernel.Scores<TLanes>(query, heads, page, rows.TokenWidth, count, scores, ahead, aheadBytes);
        new Span<float>(factors, LaneMath.LaneCount).Clear();
        for (int head = 0; head < heads; head++)
        {
            // Positions after the row's own weigh nothing, whatever the memory holds there.
            Span<float> row = new(scores + (head * Tokens), Tokens);
            row[count..].Fill(float.NegativeInfinity);
            VectorMath.Scale<TLanes>(row, rows.SoftmaxScale);
            float before = states[head].Max;
            float max = Math.Max(before, VectorMath.Max<TLanes>(row));
            sums[head] = VectorMath.ExpSum<TLanes>(row, max, row);
            states[head].Max = max;
            factors[head] = before - max;
        }

        TLanes.Store(LaneMath.Exp(TLanes.Load(factors)), factors);
        for (int head = 0; head < heads; head++)
            states[head].Sum = MathF.FusedMultiplyAdd(states[head].Sum, factors[head], sums[head]);
        AttentionKernel.Values<TLanes>(scores, heads, page, rows.TokenWidth, count, factors, resume, output, rows.LatentWidth);
    }
}
