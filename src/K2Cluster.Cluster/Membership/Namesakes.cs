namespace K2Cluster.Cluster.Membership;

/// <summary>
/// Other members with this one's name. The row of one may be that of a process that was killed a moment ago, often this one's
/// forerunner. One that runs says so in its row every few seconds: a change there is what counts, as clocks may differ.
/// </summary>
/// <param name="name">This member's name.</param>
/// <param name="self">This member; whatever has had its address is gone.</param>
/// <param name="patience">Who says nothing for so long is gone.</param>
/// <param name="time">Measures it.</param>
internal sealed class Namesakes(string name, SiloAddress self, TimeSpan patience, TimeProvider time)
{
    private Dictionary<SiloAddress, DateTime>? _first;
    private long _since;

    /// <summary>Takes what the table says now.</summary>
    /// <returns>One that runs, and whether there are others of which that is not known yet.</returns>
    public (MembershipEntry? Running, MembershipEntry? Doubtful) Look(MembershipTableData data)
    {
        MembershipEntry[] namesakes = [.. data.Members.Select(member => member.Item1).Where(IsNamesake)];
        if (_first is null)
        {
            _first = namesakes.ToDictionary(member => member.SiloAddress, member => member.IAmAliveTime);
            _since = time.GetTimestamp();
        }

        // A row that was not there at first is that of one that has joined since.
        MembershipEntry? running = Array.Find(namesakes, member => !_first.TryGetValue(member.SiloAddress, out DateTime first) || member.IAmAliveTime > first);
        bool waits = time.GetElapsedTime(_since) < patience;
        return (running, waits ? Array.Find(namesakes, member => SpokeWithin(member, patience, time)) : null);
    }

    /// <summary>Whether a member has started, or said that it runs, lately by this host's clock.</summary>
    public static bool SpokeWithin(MembershipEntry member, TimeSpan patience, TimeProvider time)
    {
        DateTime oldest = time.GetUtcNow().UtcDateTime - patience;
        return member.IAmAliveTime > oldest || member.StartTime > oldest;
    }

    private bool IsNamesake(MembershipEntry member) =>
        member.SiloName == name && !member.SiloAddress.Endpoint.Equals(self.Endpoint) && member.Status is SiloStatus.Created or SiloStatus.Joining or SiloStatus.Active;
}
