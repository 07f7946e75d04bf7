using System.Runtime.CompilerServices;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;

namespace K2Cluster.Trunk.Attention;

/// <summary>Up to four rows of one sequence that follow each other, done together so that they share the KV tiles in the cache.</summary>
/// <param name="Row">Their first row, counted in the block.</param>
/// <param name="Count">How many.</param>
/// <param name="Position">The first row's position.</param>
/// <param name="Pages">Where the sequence's pages begin in the step's page table.</param>
internal readonly record struct RowGroup(int Row, int Count, int Position, int Pages)
{
    public const int MaxRows = 4;
}

/// <summary>
/// Softmax(query · keys) · latents of a block of rows; a part is a <see cref="RowGroup"/> and up to four heads. What a row
/// and head give depends on the row's position only: an online softmax over tiles of 64 tokens at absolute positions,
/// begun anew at each split of 16 tiles (1,024 positions); the splits are joined from left to right. A row at position p
/// reads positions 0..p and nothing else.
/// </summary>
internal readonly unsafe struct AttentionWork : ICpuWork
{
    private const int Tokens = ITrunk.PageTokens;
    private const int SplitTiles = 16;
    private const int SplitTokens = SplitTiles * Tokens;
    private const int MaxPairs = RowGroup.MaxRows * AttentionKernel.HeadGroup;

    public required KvMemory Memory { get; init; }

    /// <summary>From 0 at the memory's first layer.</summary>
    public required int Layer { get; init; }

    public required RowGroup[] Groups { get; init; }

    /// <summary>Page ids of all sequences of the step.</summary>
    public required int[] PageTable { get; init; }

    public required int Heads { get; init; }

    public required float SoftmaxScale { get; init; }

    /// <summary>[rows, heads, token width].</summary>
    public required float* Queries { get; init; }

    /// <summary>[rows, heads, latent width]: what comes out.</summary>
    public required float* Outputs { get; init; }

    /// <summary>The same shape: the split at hand, where it is not the first.</summary>
    public required float* Partials { get; init; }

    public int HeadGroups => (Heads + AttentionKernel.HeadGroup - 1) / AttentionKernel.HeadGroup;

    [SkipLocalsInit]
    public void Part<TLanes>(int part)
        where TLanes : struct, ILanes<TLanes>
    {
        RowGroup group = Groups[part / HeadGroups];
        int firstHead = part % HeadGroups * AttentionKernel.HeadGroup;
        int heads = Math.Min(AttentionKernel.HeadGroup, Heads - firstHead);
        Softmax* totals = stackalloc Softmax[MaxPairs];
        Softmax* splits = stackalloc Softmax[MaxPairs];

        int last = group.Position + group.Count - 1;
        for (int start = 0; start <= last; start += SplitTokens)
        {
            Softmax* states = start == 0 ? totals : splits;
            new Span<Softmax>(states, MaxPairs).Fill(Softmax.Empty);
            int end = Math.Min(start + SplitTokens, last + 1);
            for (int tile = start / Tokens; tile * Tokens < end; tile++)
                Tile<TLanes>(group, tile, firstHead, heads, states, start == 0 ? Outputs : Partials, resume: tile * Tokens > start);
            for (int i = 0; start > 0 && i < group.Count; i++)
            {
                if (group.Position + i >= start)
                    Join<TLanes>(At(group.Row + i, firstHead), heads, totals + (i * AttentionKernel.HeadGroup), splits + (i * AttentionKernel.HeadGroup));
            }
        }

        for (int i = 0; i < group.Count; i++)
        {
            for (int head = 0; head < heads; head++)
            {
                Span<float> output = new(Outputs + At(group.Row + i, firstHead + head), Memory.LatentWidth);
                VectorMath.Scale<TLanes>(output, 1f / totals[(i * AttentionKernel.HeadGroup) + head].Sum);
            }
        }
    }

    private void Tile<TLanes>(RowGroup group, int tile, int firstHead, int heads, Softmax* states, float* target, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        ushort* page = Memory.Page(Layer, PageTable[group.Pages + tile]);
        for (int i = 0; i < group.Count; i++)
        {
            int count = Math.Min(Tokens, group.Position + i + 1 - (tile * Tokens));
            if (count <= 0)
                continue;
            float* query = Queries + ((((nint)(group.Row + i) * Heads) + firstHead) * Memory.TokenWidth);
            RowTile<TLanes>(query, heads, page, count, states + (i * AttentionKernel.HeadGroup), target + At(group.Row + i, firstHead), resume);
        }
    }

    [SkipLocalsInit]
    private void RowTile<TLanes>(float* query, int heads, ushort* page, int count, Softmax* states, float* output, bool resume)
        where TLanes : struct, ILanes<TLanes>
    {
        float* scores = stackalloc float[AttentionKernel.HeadGroup * Tokens];
        float* factors = stackalloc float[LaneMath.LaneCount];
        float* sums = stackalloc float[AttentionKernel.HeadGroup];
        AttentionKernel.Scores<TLanes>(query, heads, page, Memory.TokenWidth, count, scores);
        new Span<float>(factors, LaneMath.LaneCount).Clear();
        for (int head = 0; head < heads; head++)
        {
            // Positions after the row's own weigh nothing, whatever the memory holds there.
            Span<float> row = new(scores + (head * Tokens), Tokens);
            row[count..].Fill(float.NegativeInfinity);
            VectorMath.Scale<TLanes>(row, SoftmaxScale);
            float before = states[head].Max;
            float max = Math.Max(before, VectorMath.Max<TLanes>(row));
            sums[head] = VectorMath.ExpSum<TLanes>(row, max, row);
            states[head].Max = max;
            factors[head] = before - max;
        }

        TLanes.Store(LaneMath.Exp(TLanes.Load(factors)), factors);
        for (int head = 0; head < heads; head++)
            states[head].Sum = MathF.FusedMultiplyAdd(states[head].Sum, factors[head], sums[head]);
        AttentionKernel.Values<TLanes>(scores, heads, page, Memory.TokenWidth, count, factors, resume, output, Memory.LatentWidth);
    }

    /// <summary>total = total × e^(its max − max) + split × e^(its max − max).</summary>
    [SkipLocalsInit]
    private void Join<TLanes>(nint at, int heads, Softmax* totals, Softmax* splits)
        where TLanes : struct, ILanes<TLanes>
    {
        float* factors = stackalloc float[LaneMath.LaneCount];
        for (int head = 0; head < heads; head++, at += Memory.LatentWidth)
        {
            ref Softmax total = ref totals[head];
            Softmax split = splits[head];
            float max = Math.Max(total.Max, split.Max);
            new Span<float>(factors, LaneMath.LaneCount).Clear();
            factors[0] = total.Max - max;
            factors[1] = split.Max - max;
            TLanes.Store(LaneMath.Exp(TLanes.Load(factors)), factors);
            total.Max = max;
            total.Sum = MathF.FusedMultiplyAdd(split.Sum, factors[1], total.Sum * factors[0]);
            Span<float> output = new(Outputs + at, Memory.LatentWidth);
            VectorMath.Scale<TLanes>(output, factors[0]);
            VectorMath.Axpy<TLanes>(factors[1], new ReadOnlySpan<float>(Partials + at, Memory.LatentWidth), output);
        }
    }

    private nint At(int row, int head) => (((nint)row * Heads) + head) * Memory.LatentWidth;

    /// <summary>The largest score so far, and the sum of e^(score − max).</summary>
    private struct Softmax
    {
        public static readonly Softmax Empty = new() { Max = float.NegativeInfinity };

        public float Max;
        public float Sum;
    }
}
