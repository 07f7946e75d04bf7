namespace K2Cluster.Tests;

/// <summary>
/// A test that starts a real server of a Debian package. Without the program it is skipped, and says so; where
/// K2_REQUIRE_SERVERS is set, as in CI, it fails instead.
/// </summary>
internal sealed class ServerFactAttribute : FactAttribute
{
    public ServerFactAttribute(string program)
    {
        if (Find(program) is null && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("K2_REQUIRE_SERVERS")))
            Skip = $"{program} is not installed (apt-get install {program})";
    }

    /// <summary>The full path of a program; null where it is not installed.</summary>
    public static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Append("/usr/sbin").Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
}
