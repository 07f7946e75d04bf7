namespace K2Cluster.Tests;

/// <summary>A directory of a test's own, gone when the test is.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("k2cluster-").FullName;

    /// <summary>A copy of the files of a directory (not of those below).</summary>
    public static TemporaryDirectory CopyOf(string directory)
    {
        TemporaryDirectory copy = new();
        foreach (string file in Directory.EnumerateFiles(directory))
            File.Copy(file, System.IO.Path.Combine(copy.Path, System.IO.Path.GetFileName(file)));
        return copy;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
