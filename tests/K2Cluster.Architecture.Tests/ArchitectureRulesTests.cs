using System.Xml.Linq;

namespace K2Cluster.Architecture.Tests;

/// <summary>The rules find what is wrong in a made-up checkout.</summary>
public sealed class ArchitectureRulesTests
{
    private static readonly Project[] Sound =
    [
        Room("K2Cluster.Checkpoint"),
        Room("K2Cluster.Kernels", "K2Cluster.Checkpoint"),
        Room("K2Cluster.Trunk", "K2Cluster.Kernels"),
        Room("K2Cluster.Contracts") with { Packages = ["Microsoft.Orleans.Sdk"] },
        Room("K2Cluster.Cluster", "K2Cluster.Contracts", "K2Cluster.Kernels") with { Packages = ["Microsoft.Orleans.Server"] },
        Room("K2Cluster.Grains", "K2Cluster.Cluster"),
        Room("K2Cluster.Hosting", "K2Cluster.Cluster"),
        Room("K2Cluster.Embedding", "K2Cluster.Grains", "K2Cluster.Hosting"),
        Room("Gateway", "K2Cluster.Embedding", "K2Cluster.Trunk"),
        new("K2Cluster.Grains.Tests", "tests/K2Cluster.Grains.Tests/K2Cluster.Grains.Tests.csproj", ["K2Cluster.Grains"], ["Microsoft.Orleans.TestingHost"]),
    ];

    public static TheoryData<string, Project> Wrong => new()
    {
        { "K2Cluster.Checkpoint may not refer to K2Cluster.Kernels.", Room("K2Cluster.Checkpoint", "K2Cluster.Kernels") },
        { "K2Cluster.Checkpoint depends on itself.", Room("K2Cluster.Checkpoint", "K2Cluster.Trunk") },
        { "K2Cluster.Trunk may not refer to K2Cluster.Cluster.", Room("K2Cluster.Trunk", "K2Cluster.Kernels", "K2Cluster.Cluster") },
        { "K2Cluster.Trunk may not refer to the package Microsoft.Orleans.Sdk.", Room("K2Cluster.Trunk") with { Packages = ["Microsoft.Orleans.Sdk"] } },
        { "K2Cluster.Text may not refer to the package grpc.net.client.", Room("K2Cluster.Text") with { Packages = ["grpc.net.client"] } },
        { "K2Cluster.Engine may not refer to the package Microsoft.AspNetCore.App.", Room("K2Cluster.Engine") with { Packages = ["Microsoft.AspNetCore.App"] } },
        { "K2Cluster.Fabric may not refer to K2Cluster.Contracts.", Room("K2Cluster.Fabric", "K2Cluster.Contracts") },
        { "K2Cluster.Cuda may not refer to K2Cluster.Trunk.", Room("K2Cluster.Cuda", "K2Cluster.Kernels", "K2Cluster.Trunk") },
        { "Gateway may not refer to K2Cluster.Grains.", Room("Gateway", "K2Cluster.Grains", "K2Cluster.Embedding") },
        { "Gateway reaches K2Cluster.Grains without K2Cluster.Embedding.", Room("Gateway", "K2Cluster.Grains", "K2Cluster.Embedding") },
        { "Gateway reaches K2Cluster.Grains without K2Cluster.Embedding.", Room("K2Cluster.Trunk", "K2Cluster.Grains") },
        { "src/K2Cluster.Helpers/K2Cluster.Helpers.csproj is a room that the rules do not know.", Room("K2Cluster.Helpers") },
        { "K2Cluster.Hosting may not refer to K2Cluster.Text.", Room("K2Cluster.Hosting", "K2Cluster.Cluster", "K2Cluster.Text") },
    };

    [Fact]
    public void A_sound_checkout_has_no_breach() => Assert.Empty(ArchitectureRules.Check(new ProjectGraph(Sound)));

    [Theory]
    [MemberData(nameof(Wrong), DisableDiscoveryEnumeration = true)]
    public void A_wrong_arrow_is_found(string breach, Project wrong) =>
        Assert.Contains(breach, ArchitectureRules.Check(new ProjectGraph([.. Sound.Where(project => project.Name != wrong.Name), wrong])));

    [Fact]
    public void Two_projects_of_one_name_are_found() =>
        Assert.Contains("Gateway is the name of 2 projects.", ArchitectureRules.Check(new ProjectGraph([.. Sound, Room("Gateway")])));

    [Fact]
    public void A_project_that_the_solution_lacks_is_found()
    {
        ProjectGraph graph = new([Room("K2Cluster.Text"), Room("K2Cluster.Trunk")]);
        Assert.Equal(
            ["src/K2Cluster.Trunk/K2Cluster.Trunk.csproj"],
            ArchitectureRules.MissingFromSolution(graph, """Project("{FAE0}") = "K2Cluster.Text", "src\K2Cluster.Text\K2Cluster.Text.csproj", "{FF}" """));
    }

    [Fact]
    public void A_project_file_is_read_with_its_sdk_packages_frameworks_and_references()
    {
        Project project = Project.Parse("gateway/Gateway.csproj", XDocument.Parse("""
            <Project Sdk="Microsoft.NET.Sdk.Web">
              <ItemGroup>
                <PackageReference Include="Grpc.AspNetCore" />
                <FrameworkReference Include="Microsoft.Other.App" />
                <ProjectReference Include="..\src\K2Cluster.Text\K2Cluster.Text.csproj" />
                <ProjectReference Include="../src/K2Cluster.Engine/K2Cluster.Engine.csproj" />
              </ItemGroup>
            </Project>
            """));
        Assert.Equal("Gateway", project.Name);
        Assert.Equal(["K2Cluster.Text", "K2Cluster.Engine"], project.References);
        Assert.Equal(["Grpc.AspNetCore", "Microsoft.Other.App", "Microsoft.AspNetCore.App"], project.Packages);
    }

    private static Project Room(string name, params string[] references) => new(name, $"src/{name}/{name}.csproj", references, []);
}
