using System.Text.Json;

namespace K2Cluster.Cluster.Membership;

/// <summary>
/// The members of one cluster in one file of one folder (0700). The file is only ever replaced as a whole, by a rename under
/// an exclusive lock on a file beside it, which the kernel releases when its holder is killed: a reader needs no lock, and no
/// death at any moment leaves a half-written table.
/// </summary>
internal sealed class MembershipFile
{
    private static readonly TimeSpan LockPatience = TimeSpan.FromSeconds(10);
    private const int MaxBytes = 16 << 20;

    private readonly string _folder;
    private readonly string _lockPath;

    public MembershipFile(string stateFolder, string clusterId)
    {
        _folder = System.IO.Path.Combine(stateFolder, clusterId);
        _lockPath = System.IO.Path.Combine(_folder, "members.lock");
        Path = System.IO.Path.Combine(_folder, "members.json");
    }

    public string Path { get; }

    /// <summary>Makes the folders.</summary>
    /// <exception cref="ClusterException">A folder is not this user's alone.</exception>
    public void Create()
    {
        CreatePrivate(System.IO.Path.GetDirectoryName(_folder)!);
        CreatePrivate(_folder);
    }

    /// <exception cref="ClusterException">The file is no membership table.</exception>
    public MembershipRows Read()
    {
        byte[] bytes;
        try
        {
            using FileStream file = new(Path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            if (file.Length > MaxBytes)
                throw Garbage($"it has {file.Length} bytes", null);
            bytes = new byte[file.Length];
            file.ReadExactly(bytes);
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            return new MembershipRows();
        }

        try
        {
            MembershipRows rows = JsonSerializer.Deserialize(bytes, MembershipJson.Default.MembershipRows) ?? throw new FormatException("it is null");
            if (rows.Format != MembershipRows.CurrentFormat)
                throw new FormatException($"its format is {rows.Format}, this version reads {MembershipRows.CurrentFormat}");
            rows.ReadAll(); // every row must parse
            return rows;
        }
        catch (Exception exception) when (exception is JsonException or FormatException or ArgumentException or NullReferenceException)
        {
            throw Garbage(exception.Message, exception);
        }
    }

    /// <summary>Runs a read-modify-write that no other process can come between; writes only when it says that something changed.</summary>
    public async Task<T> UpdateAsync<T>(Func<MembershipRows, (T Result, bool Changed)> update, CancellationToken cancellationToken)
    {
        using FileStream held = await LockAsync(cancellationToken).ConfigureAwait(false);
        MembershipRows rows = Read();
        (T result, bool changed) = update(rows);
        if (changed)
            Write(rows);
        return result;
    }

    private void Write(MembershipRows rows)
    {
        string next = Path + ".next"; // one name: only the lock's holder writes it
        using (FileStream file = new(next, FileMode.Create, FileAccess.Write, FileShare.None))
        {
            JsonSerializer.Serialize(file, rows, MembershipJson.Default.MembershipRows);
            file.Flush(flushToDisk: true); // else a power failure may leave the new name with no content
        }

        File.Move(next, Path, overwrite: true);
    }

    private async Task<FileStream> LockAsync(CancellationToken cancellationToken)
    {
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                return new FileStream(_lockPath, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
            }
            catch (IOException exception) when (exception is not (DirectoryNotFoundException or PathTooLongException))
            {
                if (System.Diagnostics.Stopwatch.GetElapsedTime(start) > LockPatience)
                    throw new ClusterException($"{_lockPath} was locked by another process for {LockPatience.TotalSeconds:0} s, or cannot be locked ({exception.Message}): look for a stopped K2Cluster process of this user, or a file system without locks.", exception);
            }

            await Task.Delay(Random.Shared.Next(1, 8), cancellationToken).ConfigureAwait(false);
        }
    }

    private static void CreatePrivate(string folder)
    {
        const UnixFileMode mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(folder);
                return;
            }

            DirectoryInfo info = Directory.CreateDirectory(folder, mode);
            if (info.LinkTarget is not null || info.UnixFileMode != mode)
                throw new ClusterException($"{folder} must be a folder that only this user can enter (mode 0700), for who writes to it commands the cluster: check what it is, then remove it or run chmod 700.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ClusterException($"{folder}, which holds the members of localhost clusters, cannot be made or entered: {exception.Message}", exception);
        }
    }

    private ClusterException Garbage(string why, Exception? inner) =>
        new($"{Path} is not a membership table of K2Cluster ({why.ReplaceLineEndings(" ")}). Stop the cluster's processes, delete the file, and start again.", inner);
}
