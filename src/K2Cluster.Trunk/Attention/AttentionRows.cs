using System.Runtime.CompilerServices;
using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Kernels.Numerics;
using K2Cluster.Trunk.Rows;
using K2Cluster.Trunk.Steps;

namespace K2Cluster.Trunk.Attention;

/// <summary>
/// The attention of a block of rows, cut into parts for the threads: by rows and heads, and where those are too few for all
/// threads also by splits, whose sums wait in slots until they are joined. How it is cut changes no bit.
/// </summary>
internal sealed unsafe class AttentionRows : IDisposable
{
    /// <summary>Positions of a split.</summary>
    public const int SplitTokens = 1024;

    /// <summary>A row of 256 K positions has 256 splits.</summary>
    private const int ExtraSlots = 256;

    private readonly CpuCompute _compute;
    private readonly KvMemory _memory;
    private readonly int _heads;
    private readonly RowBuffer _queries;
    private readonly RowBuffer _outputs;
    private readonly RowBuffer _partials;
    private readonly Softmax[] _firstStates;
    private readonly Softmax[] _partialStates;
    private readonly RowGroup[] _groups = new RowGroup[RowBlock.Rows];
    private AttentionPart[] _parts = new AttentionPart[RowBlock.Rows];
    private StepRows _step = null!;
    private int _layer;

    /// <param name="config">The model.</param>
    /// <param name="compute">The threads.</param>
    /// <param name="memory">The cache.</param>
    /// <param name="queries">[rows, heads, token width].</param>
    /// <param name="outputs">[rows, heads, latent width]: what comes out.</param>
    public AttentionRows(ModelConfig config, CpuCompute compute, KvMemory memory, RowBuffer queries, RowBuffer outputs)
    {
        _compute = compute;
        _memory = memory;
        _heads = config.HeadCount;
        _queries = queries;
        _outputs = outputs;
        int slots = RowBlock.Rows + ExtraSlots;
        _partials = new RowBuffer(slots, outputs.Width, zeroed: false);
        _firstStates = new Softmax[RowBlock.Rows * _heads];
        _partialStates = new Softmax[slots * _heads];
    }

    public int TokenWidth => _memory.TokenWidth;

    public int LatentWidth => _memory.LatentWidth;

    public float SoftmaxScale => _step.SoftmaxScale;

    /// <summary>outputs = softmax(queries · cache) · cache for the rows of sequences that are in the step.</summary>
    /// <param name="layer">From 0 at the memory's first layer.</param>
    /// <param name="step">The rows.</param>
    /// <param name="firstRow">The block's first row.</param>
    /// <param name="count">Its rows.</param>
    public void Run(int layer, StepRows step, int firstRow, int count)
    {
        _layer = layer;
        _step = step;
        int groups = Group(firstRow, count);
        bool hasJoins = false;
        int units = 0;
        for (int i = 0; i < groups; i++)
        {
            hasJoins |= _groups[i].SplitSlots > 1;
            units += _groups[i].SplitSlots > 1 ? _groups[i].Splits : 1;
        }

        // Many heads share a tile in the cache; few make parts enough for all threads.
        int heads = AttentionPart.MaxHeads;
        while (heads > AttentionKernel.HeadGroup && units * Blocks(heads) < 2 * _compute.Threads)
            heads /= 2;
        int parts = 0;
        for (int i = 0; i < groups; i++)
            AddParts(_groups[i], heads, ref parts);
        _compute.Run(new AttentionWork(this, _parts), parts);
        if (hasJoins)
            _compute.Run(new JoinWork(this, groups), groups * Blocks(AttentionKernel.HeadGroup));
    }

    public void Dispose() => _partials.Dispose();

    /// <summary>The tile of a sequence's tokens.</summary>
    public ushort* Page(RowGroup group, int tile) => _memory.Page(_layer, _step.PageTable[group.Pages + tile]);

    /// <summary>[heads, token width] of a group's i-th row.</summary>
    public float* Query(RowGroup group, int i) => _queries.Row(group.Row + i);

    /// <summary>[heads, latent width]: where the sums of a split go.</summary>
    public float* Target(RowGroup group, int i, int split) => split == 0 ? _outputs.Row(group.Row + i) : _partials.Row(Slot(group, i, split));

    /// <summary>[heads]: the softmax of a split that was done by itself.</summary>
    public Span<Softmax> States(RowGroup group, int i, int split) =>
        split == 0 ? _firstStates.AsSpan((group.Row + i) * _heads, _heads) : _partialStates.AsSpan(Slot(group, i, split) * _heads, _heads);

    /// <summary>output = output × e^(its max − max) + split × e^(its max − max), for heads from <paramref name="firstHead"/> on.</summary>
    [SkipLocalsInit]
    public void Join<TLanes>(RowGroup group, int i, int split, int firstHead, Span<Softmax> totals, ReadOnlySpan<Softmax> splits)
        where TLanes : struct, ILanes<TLanes>
    {
        float* factors = stackalloc float[LaneMath.LaneCount];
        float* output = _outputs.Row(group.Row + i) + ((nint)firstHead * LatentWidth);
        float* partial = Target(group, i, split) + ((nint)firstHead * LatentWidth);
        for (int head = 0; head < totals.Length; head++, output += LatentWidth, partial += LatentWidth)
        {
            ref Softmax total = ref totals[head];
            float max = Math.Max(total.Max, splits[head].Max);
            new Span<float>(factors, LaneMath.LaneCount).Clear();
            factors[0] = total.Max - max;
            factors[1] = splits[head].Max - max;
            TLanes.Store(LaneMath.Exp(TLanes.Load(factors)), factors);
            total.Max = max;
            total.Sum = MathF.FusedMultiplyAdd(splits[head].Sum, factors[1], total.Sum * factors[0]);
            Span<float> sums = new(output, LatentWidth);
            VectorMath.Scale<TLanes>(sums, factors[0]);
            VectorMath.Axpy<TLanes>(factors[1], new ReadOnlySpan<float>(partial, LatentWidth), sums);
        }
    }

    /// <summary>output = output / its sum.</summary>
    public void Finish<TLanes>(RowGroup group, int i, int firstHead, ReadOnlySpan<Softmax> totals)
        where TLanes : struct, ILanes<TLanes>
    {
        float* output = _outputs.Row(group.Row + i) + ((nint)firstHead * LatentWidth);
        for (int head = 0; head < totals.Length; head++, output += LatentWidth)
            VectorMath.Scale<TLanes>(new Span<float>(output, LatentWidth), 1f / totals[head].Sum);
    }

    private static int SplitsOf(int position) => (position / SplitTokens) + 1;

    private static int Slot(RowGroup group, int i, int split) =>
        group.Slot + (i * group.SplitSlots) + (group.SplitSlots == 1 ? 0 : split - 1);

    private int Blocks(int heads) => (_heads + heads - 1) / heads;

    /// <summary>Rows side by side of one sequence; each with slots for its splits as long as there are some beyond one for each row.</summary>
    private int Group(int firstRow, int count)
    {
        int groups = 0;
        int slot = 0;
        int extra = ExtraSlots;
        for (int row = 0; row < count;)
        {
            int sequence = _step.Sequences[firstRow + row];
            int size = 1;
            while (size < RowGroup.MaxRows && row + size < count && _step.Sequences[firstRow + row + size] == sequence)
                size++;
            if (_step.IsSequenceLive(sequence))
            {
                int position = _step.Positions[firstRow + row];
                int slots = SplitsOf(position + size - 1) - 1;
                if (slots > 1 && size * (slots - 1) <= extra)
                    extra -= size * (slots - 1);
                else
                    slots = Math.Min(slots, 1);
                _groups[groups++] = new RowGroup(row, size, position, _step.FirstPages[firstRow + row], slot, slots);
                slot += size * slots;
            }

            row += size;
        }

        return groups;
    }

    private void AddParts(RowGroup group, int heads, ref int parts)
    {
        int splits = group.SplitSlots > 1 ? group.Splits : 1;
        int needed = parts + (splits * Blocks(heads));
        if (_parts.Length < needed)
            Array.Resize(ref _parts, 2 * needed);
        for (int split = 0; split < splits; split++)
        {
            for (int head = 0; head < _heads; head += heads)
                _parts[parts++] = new AttentionPart(group, head, Math.Min(heads, _heads - head), splits > 1 ? split : -1);
        }
    }

    /// <summary>Joins the splits that were done by themselves, from left to right; a part is a group and four heads.</summary>
    private readonly struct JoinWork(AttentionRows rows, int groups) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes>
        {
            RowGroup group = rows._groups[part % groups];
            if (group.SplitSlots <= 1)
                return;
            int firstHead = part / groups * AttentionKernel.HeadGroup;
            int heads = Math.Min(AttentionKernel.HeadGroup, rows._heads - firstHead);
            for (int i = 0; i < group.Count; i++)
            {
                Span<Softmax> totals = rows.States(group, i, 0).Slice(firstHead, heads);
                for (int split = 1; split < SplitsOf(group.Position + i); split++)
                    rows.Join<TLanes>(group, i, split, firstHead, totals, rows.States(group, i, split).Slice(firstHead, heads));
                rows.Finish<TLanes>(group, i, firstHead, totals);
            }
        }
    }
}
