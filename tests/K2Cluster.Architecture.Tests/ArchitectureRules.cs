namespace K2Cluster.Architecture.Tests;

/// <summary>
/// What may refer to what. A project refers to no project that is not named here for it, so a new arrow is a decision that
/// is written down in this file.
/// </summary>
public static class ArchitectureRules
{
    /// <summary>The projects that a room may refer to directly. Rooms that do not exist yet are named as well.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["K2Cluster.Checkpoint"] = [],
        ["K2Cluster.Text"] = [],
        ["K2Cluster.Telemetry"] = [],
        ["K2Cluster.Protocol"] = [],
        ["K2Cluster.Client"] = ["K2Cluster.Protocol"],
        ["K2Cluster.Contracts"] = [],
        ["K2Cluster.Administration"] = ["K2Cluster.Contracts", "K2Cluster.Protocol"],
        ["K2Cluster.Fabric"] = [],
        ["K2Cluster.Planning"] = [],
        ["K2Cluster.Kernels"] = ["K2Cluster.Checkpoint"],
        ["K2Cluster.Cuda"] = ["K2Cluster.Checkpoint", "K2Cluster.Kernels", "K2Cluster.Telemetry"],
        ["K2Cluster.GpuCheck"] = ["K2Cluster.Checkpoint", "K2Cluster.Kernels", "K2Cluster.Cuda"],
        ["K2Cluster.Trunk"] = ["K2Cluster.Checkpoint", "K2Cluster.Kernels", "K2Cluster.Telemetry"],
        ["K2Cluster.Engine"] = ["K2Cluster.Kernels", "K2Cluster.Trunk", "K2Cluster.Telemetry"],
        ["K2Cluster.Cluster"] = ["K2Cluster.Checkpoint", "K2Cluster.Kernels", "K2Cluster.Contracts", "K2Cluster.Fabric", "K2Cluster.Telemetry"],
        ["K2Cluster.Grains"] = ["K2Cluster.Checkpoint", "K2Cluster.Kernels", "K2Cluster.Contracts", "K2Cluster.Planning", "K2Cluster.Fabric", "K2Cluster.Cluster", "K2Cluster.Telemetry"],
        ["K2Cluster.Hosting"] = ["K2Cluster.Cluster", "K2Cluster.Telemetry", "K2Cluster.Checkpoint"],
        ["K2Cluster.Embedding"] = ["K2Cluster.Grains", "K2Cluster.Cuda", "K2Cluster.Hosting"],
        // Hosting and Cluster are for `k2 cluster --direct`: the options by which a silo finds its cluster, and Orleans' client.
        ["K2Cluster.Cli"] = ["K2Cluster.Administration", "K2Cluster.Hosting", "K2Cluster.Cluster", "K2Cluster.Fabric", "K2Cluster.GpuCheck", "K2Cluster.Checkpoint", "K2Cluster.Planning", "K2Cluster.Text", "K2Cluster.Kernels", "K2Cluster.Trunk", "K2Cluster.Engine", "K2Cluster.Client", "K2Cluster.Protocol", "K2Cluster.Contracts", "K2Cluster.Telemetry"],
        ["Gateway"] = ["K2Cluster.Administration", "K2Cluster.Engine", "K2Cluster.Trunk", "K2Cluster.Kernels", "K2Cluster.Checkpoint", "K2Cluster.Text", "K2Cluster.Protocol", "K2Cluster.Cluster", "K2Cluster.Contracts", "K2Cluster.Telemetry", "K2Cluster.Hosting", "K2Cluster.Embedding"],
        ["Silo"] = ["K2Cluster.Embedding", "K2Cluster.Hosting", "K2Cluster.Cluster", "K2Cluster.Telemetry"],
    };

    /// <summary>Rooms that know neither Orleans nor sockets nor HTTP.</summary>
    private static readonly string[] Plain =
    [
        "K2Cluster.Checkpoint", "K2Cluster.Text", "K2Cluster.Kernels", "K2Cluster.Cuda", "K2Cluster.GpuCheck", "K2Cluster.Trunk", "K2Cluster.Engine",
        "K2Cluster.Fabric", "K2Cluster.Planning", "K2Cluster.Telemetry",
    ];

    private static readonly string[] NotForPlain =
    [
        "Microsoft.Orleans", "Orleans", "Grpc", "Google.Protobuf", "Microsoft.AspNetCore", "StackExchange.Redis", "OpenTelemetry",
    ];

    /// <summary>Rooms through which alone another may be reached.</summary>
    private static readonly Dictionary<string, string> Doors = new()
    {
        ["K2Cluster.Grains"] = "K2Cluster.Embedding",
    };

    /// <summary>Every breach, in words; empty when there is none. Projects under tests/ may refer to anything.</summary>
    public static IReadOnlyList<string> Check(ProjectGraph graph)
    {
        List<string> breaches = [];
        foreach (IGrouping<string, Project> same in graph.Projects.GroupBy(project => project.Name).Where(same => same.Count() > 1))
            breaches.Add($"{same.Key} is the name of {same.Count()} projects.");
        Project[] rooms = [.. graph.Projects.Where(project => !IsTest(project)).DistinctBy(project => project.Name)];
        foreach (Project room in rooms)
        {
            if (!Arrows.TryGetValue(room.Name, out string[]? allowed))
            {
                breaches.Add($"{room.Path} is a room that the rules do not know.");
                continue;
            }

            foreach (string reference in room.References.Where(reference => !allowed.Contains(reference)))
                breaches.Add($"{room.Name} may not refer to {reference}.");
            if (Plain.Contains(room.Name))
            {
                foreach (string package in room.Packages.Where(package => NotForPlain.Any(name => IsOrIsBelow(package, name))))
                    breaches.Add($"{room.Name} may not refer to the package {package}.");
            }
        }

        CheckDoors(rooms, breaches);
        CheckCycles(rooms, breaches);
        return breaches;
    }

    /// <summary>Projects that the solution does not have.</summary>
    public static IReadOnlyList<string> MissingFromSolution(ProjectGraph graph, string solution)
    {
        string normal = solution.Replace('\\', '/');
        return [.. graph.Projects.Select(project => project.Path).Where(path => !normal.Contains($"\"{path}\"", StringComparison.Ordinal))];
    }

    private static bool IsTest(Project project) => project.Path.StartsWith("tests/", StringComparison.Ordinal);

    private static bool IsOrIsBelow(string package, string name) =>
        package.Equals(name, StringComparison.OrdinalIgnoreCase) || package.StartsWith(name + ".", StringComparison.OrdinalIgnoreCase);

    /// <summary>An executable reaches a room behind a door over no path that leaves the door out.</summary>
    private static void CheckDoors(Project[] rooms, List<string> breaches)
    {
        foreach ((string room, string door) in Doors)
        {
            foreach (Project project in rooms.Where(project => project.Name != room && project.Name != door))
            {
                if (Reaches(rooms, project.Name, room, except: door))
                    breaches.Add($"{project.Name} reaches {room} without {door}.");
            }
        }
    }

    private static void CheckCycles(Project[] rooms, List<string> breaches)
    {
        foreach (Project project in rooms)
        {
            if (project.References.Any(reference => reference == project.Name || Reaches(rooms, reference, project.Name, except: null)))
                breaches.Add($"{project.Name} depends on itself.");
        }
    }

    private static bool Reaches(Project[] rooms, string from, string to, string? except)
    {
        HashSet<string> seen = [from];
        Queue<string> open = new(seen);
        while (open.TryDequeue(out string? name))
        {
            foreach (string reference in rooms.FirstOrDefault(room => room.Name == name)?.References ?? [])
            {
                if (reference == to)
                    return true;
                if (reference != except && seen.Add(reference))
                    open.Enqueue(reference);
            }
        }

        return false;
    }
}
