namespace K2Cluster.PtxEmulator.Machine;

/// <summary>The cp.async of a warp that are under way. Their bytes were read when they began; they arrive when their thread waits.</summary>
internal sealed unsafe class AsyncCopies(Warp warp)
{
    private const int Open = -1;

    private readonly List<Copy> _copies = [];
    private readonly int[] _committed = new int[32];

    public void Reset()
    {
        _copies.Clear();
        Array.Clear(_committed);
    }

    public void Begin(int lane, ulong address, int bytes, UInt128 value) => _copies.Add(new Copy(lane, Open, address, bytes, value));

    public void Commit(uint lanes)
    {
        for (int lane = 0; lane < 32; lane++)
        {
            if ((lanes >> lane & 1) != 0)
                _committed[lane]++;
        }

        for (int i = 0; i < _copies.Count; i++)
        {
            if (_copies[i].Group == Open && (lanes >> _copies[i].Lane & 1) != 0)
                _copies[i] = _copies[i] with { Group = _committed[_copies[i].Lane] };
        }
    }

    /// <summary>Waits until at most <paramref name="pending"/> of each thread's latest groups are under way; below 0 for all, those not committed too.</summary>
    public void Wait(uint lanes, int pending)
    {
        int kept = 0;
        for (int i = 0; i < _copies.Count; i++)
        {
            Copy copy = _copies[i];
            bool here = (lanes >> copy.Lane & 1) != 0;
            bool done = here && (pending < 0 || (copy.Group != Open && copy.Group <= _committed[copy.Lane] - pending));
            if (!done)
            {
                _copies[kept++] = copy;
                continue;
            }

            UInt128 value = copy.Value;
            warp.Block.Shared.EndAsync(warp, copy.Lane, copy.Address, copy.Bytes, (byte*)&value);
        }

        _copies.RemoveRange(kept, _copies.Count - kept);
    }

    private record struct Copy(int Lane, int Group, ulong Address, int Bytes, UInt128 Value);
}
