namespace K2Cluster.Cluster.Plans.Stores;

/// <summary>
/// Where the placement of a cluster's model keeps what it should know after all its processes were gone: beside the table of
/// members, whichever that is. One record of bytes, replaced as a whole; of two that write at once either's may stay.
/// </summary>
internal interface IPlanStore
{
    /// <summary>Most bytes of a record.</summary>
    const int MostBytes = 1 << 20;

    /// <summary>The record; null where there is none.</summary>
    /// <exception cref="Exception">It cannot be read now, for whatever reason.</exception>
    Task<byte[]?> ReadAsync(CancellationToken cancellationToken);

    /// <summary>Replaces the record. It is all there afterwards or, after a failure, as before.</summary>
    /// <exception cref="Exception">It cannot be written now, for whatever reason.</exception>
    Task WriteAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken);

    /// <summary>Puts a record that nobody can use out of the way, for people to look at.</summary>
    /// <returns>Where it is then.</returns>
    Task<string> SetAsideAsync(CancellationToken cancellationToken);
}
