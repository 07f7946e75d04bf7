using K2Cluster.Tests;

namespace K2Cluster.Architecture.Tests;

/// <summary>This checkout keeps the rules.</summary>
public sealed class CheckoutTests
{
    private static readonly string[] Folders = ["deploy", "docs", "gateway", "kernels", "models", "silo", "src", "tests"];

    private static readonly string[] SourceFiles = ["*.cs", "*.csproj", "*.props", "*.targets", "*.proto", "*.json", "*.yml", "*.yaml", "*.md", "*.sh", "*.cu"];

    [Fact]
    public void Dependencies_point_one_way()
    {
        ProjectGraph graph = ProjectGraph.OfCheckout();
        Assert.Contains(graph.Projects, project => project.Name == "Gateway");
        Assert.Contains(graph.Projects, project => project.Name == "K2Cluster.Engine" && project.References.Contains("K2Cluster.Trunk"));
        Assert.Empty(ArchitectureRules.Check(graph));
    }

    [Fact]
    public void Every_project_is_in_the_solution() =>
        Assert.Empty(ArchitectureRules.MissingFromSolution(ProjectGraph.OfCheckout(), File.ReadAllText(Repository.Path("K2Cluster.sln"))));

    [Fact]
    public void No_file_refers_to_what_lies_outside_the_checkout()
    {
        // Put together here, so that this file does not hold it.
        string outside = ".." + "/shared";
        string[] files = [.. SourceFiles.SelectMany(Files)];
        Assert.Contains(files, file => file.EndsWith("CheckoutTests.cs", StringComparison.Ordinal));
        Assert.DoesNotContain(files, file => File.ReadAllText(file).Contains(outside, StringComparison.Ordinal));
    }

    [Fact]
    public void Top_level_folders_are_the_documented_ones()
    {
        IEnumerable<string?> folders = Directory.EnumerateDirectories(Repository.Root)
            .Select(Path.GetFileName)
            .Where(name => !name!.StartsWith('.') && name is not ("bin" or "obj" or "TestResults" or "BenchmarkDotNet.Artifacts"));
        Assert.Empty(folders.Except(Folders));
    }

    [Fact]
    public void Source_folders_hold_one_project_of_their_name()
    {
        foreach (string folder in Directory.EnumerateDirectories(Repository.Path("src")))
            Assert.True(File.Exists(Path.Combine(folder, Path.GetFileName(folder) + ".csproj")), $"{folder} has no project of its name.");
    }

    private static IEnumerable<string> Files(string pattern) =>
        Directory.EnumerateFiles(Repository.Root, pattern, SearchOption.AllDirectories)
            .Where(file => !Path.GetRelativePath(Repository.Root, file).Split(Path.DirectorySeparatorChar).Any(part => part is "bin" or "obj" or ".git" or "fixtures" or "TestResults"));
}
