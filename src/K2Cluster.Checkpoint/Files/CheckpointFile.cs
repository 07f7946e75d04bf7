using Microsoft.Win32.SafeHandles;

namespace K2Cluster.Checkpoint;

/// <summary>
/// A file opened for positioned reads. Not mapped: a mapped file that another process truncates ends this process
/// with SIGBUS, where a short read is an error with a name.
/// </summary>
internal sealed class CheckpointFile : IDisposable
{
    private readonly SafeFileHandle _handle;

    private CheckpointFile(string path, SafeFileHandle handle, long length)
    {
        Path = path;
        _handle = handle;
        Length = length;
    }

    public string Path { get; }

    /// <summary>Length in bytes when the file was opened; at least 1.</summary>
    public long Length { get; }

    /// <summary>Opens a regular, non-empty file, through symbolic links.</summary>
    /// <exception cref="CheckpointException">It is missing, empty, a directory, or not readable.</exception>
    public static CheckpointFile Open(string path)
    {
        try
        {
            // Asked before it is opened: opening a pipe waits for a writer. Pipes and devices have length 0.
            FileInfo info = new(path);
            if (Directory.Exists(path))
                throw new CheckpointException($"{path}: a directory stands where a file is expected.");
            if (!info.Exists)
                throw new CheckpointException($"{path}: no such file{(info.LinkTarget is { } target ? $" (a link to {target})" : "")}. Is the download complete?");
            if (LengthThroughLinks(info) == 0)
                throw new CheckpointException($"{path}: the file is empty. Is the download complete?");

            SafeFileHandle handle = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete, options: FileOptions.RandomAccess);
            return new CheckpointFile(path, handle, RandomAccess.GetLength(handle));
        }
        catch (Exception failure) when (IsFileFailure(failure))
        {
            throw new CheckpointException($"{path}: cannot be opened: {failure.Message}", failure);
        }
    }

    /// <summary>The whole of a small file.</summary>
    /// <exception cref="CheckpointException">It cannot be read, or is longer than <paramref name="limit"/> bytes.</exception>
    public static byte[] ReadAll(string path, int limit)
    {
        using CheckpointFile file = Open(path);
        if (file.Length > limit)
            throw new CheckpointException($"{path}: {file.Length:N0} bytes, where at most {limit:N0} are sensible.");

        byte[] content = new byte[file.Length];
        int read = file.Read(0, content);
        if (read < content.Length)
            throw new CheckpointException($"{path}: ended at byte {read:N0} of {content.Length:N0} while it was read.");
        return content;
    }

    /// <summary>Reads from byte <paramref name="position"/> until the span is full or the file ends; returns the bytes read.</summary>
    public int Read(long position, Span<byte> destination)
    {
        try
        {
            int total = 0;
            while (total < destination.Length)
            {
                int read = RandomAccess.Read(_handle, destination[total..], position + total);
                if (read == 0)
                    break;
                total += read;
            }

            return total;
        }
        catch (Exception failure) when (IsFileFailure(failure))
        {
            throw new CheckpointException($"{Path}: reading at byte {position:N0} failed: {failure.Message}", failure);
        }
    }

    public void Dispose() => _handle.Dispose();

    private static long LengthThroughLinks(FileInfo info) =>
        info.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target ? target.Length : info.Length;

    private static bool IsFileFailure(Exception failure) =>
        failure is IOException or UnauthorizedAccessException or NotSupportedException or ArgumentException;
}
