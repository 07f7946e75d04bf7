namespace K2Cluster.Cluster.Plans.Stores;

/// <summary>A file beside that of the members, in the folder that they have made. Replaced by a rename, so that no death leaves half of it.</summary>
internal sealed class FilePlanStore(string path) : IPlanStore
{
    public FilePlanStore(ClusterOptions options)
        : this(Path.Combine(options.StateFolderOrDefault, options.ClusterId, "plan.json"))
    {
    }

    public async Task<byte[]?> ReadAsync(CancellationToken cancellationToken)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, useAsync: true);

            // One byte more than a record may have tells that it has more, without reading whatever it is.
            byte[] bytes = new byte[Math.Min(file.Length, IPlanStore.MostBytes + 1)];
            await file.ReadExactlyAsync(bytes, cancellationToken).ConfigureAwait(false);
            return bytes;
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    public async Task WriteAsync(ReadOnlyMemory<byte> record, CancellationToken cancellationToken)
    {
        // One name: a second writer at the same moment cannot open it, and tries again.
        string next = path + ".next";
        using (FileStream file = new(next, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0, useAsync: true))
        {
            await file.WriteAsync(record, cancellationToken).ConfigureAwait(false);
            file.Flush(flushToDisk: true);
            File.Move(next, path, overwrite: true);
        }
    }

    public Task<string> SetAsideAsync(CancellationToken cancellationToken)
    {
        string aside = path + ".unreadable";
        File.Move(path, aside, overwrite: true);
        return Task.FromResult(aside);
    }
}
