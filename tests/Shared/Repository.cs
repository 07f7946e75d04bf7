namespace K2Cluster.Tests;

/// <summary>Finds files of the checkout, wherever the test assembly was built.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    public static string Path(params string[] parts) => System.IO.Path.Combine([Root, .. parts]);

    public static string Fixture(params string[] parts) => System.IO.Path.Combine([Root, "tests", "fixtures", .. parts]);

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "K2Cluster.sln")))
                return folder.FullName;
        }

        throw new DirectoryNotFoundException($"No K2Cluster.sln above {AppContext.BaseDirectory}: run the tests from a checkout.");
    }
}
