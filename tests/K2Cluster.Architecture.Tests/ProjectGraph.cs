using System.Xml.Linq;
using K2Cluster.Tests;

namespace K2Cluster.Architecture.Tests;

/// <summary>A project and what its file refers to directly.</summary>
/// <param name="Name">The file's name without ".csproj".</param>
/// <param name="Path">From the root of the checkout, with slashes.</param>
/// <param name="References">Names of projects.</param>
/// <param name="Packages">Packages, and shared frameworks such as Microsoft.AspNetCore.App.</param>
public sealed record Project(string Name, string Path, IReadOnlyList<string> References, IReadOnlyList<string> Packages)
{
    public static Project Parse(string path, XDocument file)
    {
        IEnumerable<string> Items(string kind) => file.Descendants(kind).Select(item => (string?)item.Attribute("Include")).OfType<string>();
        List<string> packages = [.. Items("PackageReference"), .. Items("FrameworkReference")];
        // The Web SDK brings the framework without naming it.
        if (((string?)file.Root?.Attribute("Sdk") ?? "").EndsWith(".Web", StringComparison.Ordinal))
            packages.Add("Microsoft.AspNetCore.App");
        return new Project(NameOf(path), path, [.. Items("ProjectReference").Select(NameOf)], packages);
    }

    private static string NameOf(string path) => System.IO.Path.GetFileNameWithoutExtension(path.Replace('\\', '/'));
}

/// <summary>All projects of a checkout.</summary>
public sealed record ProjectGraph(IReadOnlyList<Project> Projects)
{
    public static ProjectGraph OfCheckout() => new(
    [
        .. Directory.EnumerateFiles(Repository.Root, "*.csproj", SearchOption.AllDirectories)
            .Select(file => System.IO.Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'))
            .Where(path => !path.Split('/').Any(part => part is "bin" or "obj"))
            .Order(StringComparer.Ordinal)
            .Select(path => Project.Parse(path, XDocument.Load(Repository.Path(path)))),
    ]);
}
