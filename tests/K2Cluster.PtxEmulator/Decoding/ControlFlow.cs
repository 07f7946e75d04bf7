using K2Cluster.PtxEmulator.Parsing;

namespace K2Cluster.PtxEmulator.Decoding;

/// <summary>A kernel's basic blocks, and where the lanes that a branch parts meet again.</summary>
internal sealed class ControlFlow
{
    private readonly List<int> _starts = [];
    private readonly List<int[]> _next = [];
    private readonly List<bool> _ends = [];
    private readonly int[] _blockOf;
    private readonly int[] _meeting;

    public ControlFlow(PtxKernel kernel)
    {
        int count = kernel.Statements.Count;
        SortedSet<int> starts = [0];
        for (int i = 0; i < count; i++)
        {
            PtxStatement statement = kernel.Statements[i];
            if (IsBranch(statement))
                starts.Add(kernel.Labels[statement.Operands[0].Name]);
            if (IsBranch(statement) || IsEnd(statement))
                starts.Add(i + 1);
        }

        starts.RemoveWhere(start => start > count);
        _starts.AddRange(starts);
        _blockOf = new int[count + 1];
        for (int block = 0; block < _starts.Count; block++)
        {
            int end = block + 1 < _starts.Count ? _starts[block + 1] : count + 1;
            Array.Fill(_blockOf, block, _starts[block], end - _starts[block]);
        }

        for (int block = 0; block < _starts.Count; block++)
        {
            int last = (block + 1 < _starts.Count ? _starts[block + 1] : count + 1) - 1;
            // A guarded ret ends some lanes and lets others go on.
            _ends.Add(last >= count || IsEnd(kernel.Statements[last]));
            _next.Add(last >= count ? [] : [.. Next(kernel, last).Select(at => _blockOf[at]).Distinct()]);
        }

        _meeting = PostDominators();
    }

    public int Blocks => _starts.Count;

    public int Start(int block) => _starts[block];

    public int End(int block) => block + 1 < _starts.Count ? _starts[block + 1] : _blockOf.Length;

    public IReadOnlyList<int> Next(int block) => _next[block];

    /// <summary>The first instruction that every way from here passes, or the number of statements where there is none before the end.</summary>
    public int Reconvergence(int statement)
    {
        int meeting = _meeting[_blockOf[statement]];
        return meeting < 0 ? _blockOf.Length - 1 : _starts[meeting];
    }

    private static bool IsBranch(PtxStatement statement) => statement.Parts[0] == "bra";

    private static bool IsEnd(PtxStatement statement) => statement.Parts[0] is "ret" or "exit" or "trap";

    private static IEnumerable<int> Next(PtxKernel kernel, int last)
    {
        PtxStatement statement = kernel.Statements[last];
        if (IsBranch(statement))
            yield return kernel.Labels[statement.Operands[0].Name];
        if (!(IsBranch(statement) || IsEnd(statement)) || statement.Guard is not null)
            yield return last + 1;
    }

    /// <summary>For each block its immediate post-dominator, -1 for the end: Cooper, Harvey and Kennedy's iteration on the reverse graph.</summary>
    private int[] PostDominators()
    {
        int end = _starts.Count;
        List<int>[] before = [.. Enumerable.Range(0, end + 1).Select(_ => new List<int>())];
        for (int block = 0; block < end; block++)
        {
            foreach (int next in _next[block])
                before[next].Add(block);
            if (_ends[block])
                before[end].Add(block);
        }

        List<int> order = PostOrder(before, end);
        int[] number = new int[end + 1];
        Array.Fill(number, -1);
        for (int i = 0; i < order.Count; i++)
            number[order[i]] = i;
        int[] dominator = new int[end + 1];
        Array.Fill(dominator, -1);
        dominator[end] = end;
        bool changed = true;
        while (changed)
        {
            changed = false;
            for (int i = order.Count - 1; i >= 0; i--)
            {
                int block = order[i];
                if (block == end)
                    continue;
                int found = -1;
                IEnumerable<int> successors = _ends[block] ? _next[block].Append(end) : _next[block];
                foreach (int next in successors.Where(next => dominator[next] >= 0))
                    found = found < 0 ? next : Intersect(dominator, number, found, next);
                if (found != dominator[block])
                {
                    dominator[block] = found;
                    changed = true;
                }
            }
        }

        return [.. dominator[..end].Select(found => found == end ? -1 : found)];
    }

    private static int Intersect(int[] dominator, int[] number, int a, int b)
    {
        while (a != b)
        {
            while (number[a] < number[b])
                a = dominator[a];
            while (number[b] < number[a])
                b = dominator[b];
        }

        return a;
    }

    /// <summary>Blocks from which the end can be reached, each after those that come before it in the reverse graph.</summary>
    private static List<int> PostOrder(List<int>[] before, int end)
    {
        List<int> order = [];
        bool[] seen = new bool[end + 1];
        Stack<(int Block, int Index)> open = new([(end, 0)]);
        seen[end] = true;
        while (open.TryPop(out (int Block, int Index) top))
        {
            if (top.Index < before[top.Block].Count)
            {
                open.Push((top.Block, top.Index + 1));
                int next = before[top.Block][top.Index];
                if (!seen[next])
                {
                    seen[next] = true;
                    open.Push((next, 0));
                }
            }
            else
            {
                order.Add(top.Block);
            }
        }

        return order;
    }
}
