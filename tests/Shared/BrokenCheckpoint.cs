namespace K2Cluster.Tests;

/// <summary>A way to spoil a copy of <c>tests/fixtures/tiny-k2</c>, so that nothing may start on it.</summary>
/// <param name="Name">What is wrong.</param>
/// <param name="Mentions">What the one message about it must say: the file, and the tensor or key where there is one.</param>
/// <param name="Spoil">Does it, to the directory given.</param>
internal sealed record BrokenCheckpoint(string Name, string[] Mentions, Action<string> Spoil)
{
    /// <summary>A spoiled copy in a directory of its own.</summary>
    public TemporaryDirectory Create()
    {
        TemporaryDirectory copy = TemporaryDirectory.CopyOf(Repository.Fixture("tiny-k2"));
        Spoil(copy.Path);
        return copy;
    }
}
