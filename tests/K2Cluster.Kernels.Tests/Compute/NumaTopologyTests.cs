using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Lanes;
using K2Cluster.Tests;

namespace K2Cluster.Kernels.Tests.Compute;

/// <summary>Made-up hosts, and threads that are bound on this one.</summary>
public sealed class NumaTopologyTests
{
    private static readonly int[] Sixteen = [.. Enumerable.Range(0, 16)];

    [Fact]
    public void Each_node_has_its_cpus_and_its_memory()
    {
        using TemporaryDirectory directory = Host(("0", "0-3,8-11\n", 1000), ("1", "4-7,12-15\n", 3000));

        NumaTopology topology = NumaTopology.Read(directory.Path, Sixteen);

        Assert.Null(topology.Problem);
        Assert.Equal([0, 1], topology.Nodes.Select(node => node.Id));
        Assert.Equal([0, 1, 2, 3, 8, 9, 10, 11], topology.Nodes[0].Cpus);
        Assert.Equal([4, 5, 6, 7, 12, 13, 14, 15], topology.Nodes[1].Cpus);
        Assert.Equal([1000L << 10, 3000L << 10], topology.Nodes.Select(node => node.MemoryBytes));
    }

    [Fact]
    public void Nodes_that_are_offline_or_have_memory_only_are_no_devices_and_gaps_are_none_of_our_business()
    {
        using TemporaryDirectory directory = Host(("0", "0-1\n", 100), ("2", "\n", 500), ("3", "2-3\n", 100), ("7", "4-5\n", 100));
        File.WriteAllText(Path.Combine(directory.Path, "online"), "0,2-3\n");

        Assert.Equal([0, 3], NumaTopology.Read(directory.Path, Sixteen).Nodes.Select(node => node.Id));

        File.Delete(Path.Combine(directory.Path, "online"));
        Directory.CreateDirectory(Path.Combine(directory.Path, "nodes"));
        Directory.CreateDirectory(Path.Combine(directory.Path, "node-1"));
        Directory.CreateDirectory(Path.Combine(directory.Path, "node99999999999"));
        Assert.Equal([0, 3, 7], NumaTopology.Read(directory.Path, Sixteen).Nodes.Select(node => node.Id));
    }

    [Fact]
    public void Cpus_without_memory_of_their_own_help_the_first_node()
    {
        using TemporaryDirectory directory = Host(("0", "0-1\n", 100), ("1", "4\n", 0), ("2", "2-3\n", 100));

        Assert.Equal(["0,1,4", "2,3"], NumaTopology.Read(directory.Path, null).Nodes.Select(node => string.Join(',', node.Cpus)));
    }

    [Fact]
    public void Only_cpus_that_the_process_may_use_count()
    {
        using TemporaryDirectory directory = Host(("0", "0-3\n", 100), ("1", "4-7\n", 100), ("2", "8-11\n", 100));

        Assert.Equal(["1,3", "9"], NumaTopology.Read(directory.Path, [1, 3, 9, 900]).Nodes.Select(node => string.Join(',', node.Cpus)));
        Assert.Single(NumaTopology.Read(directory.Path, [5]).Nodes);
    }

    [Fact]
    public void The_system_may_have_no_list()
    {
        Assert.Null(NumaTopology.Read(NumaTopology.SystemDirectory, CpuAffinity.Allowed()).Problem);
        Assert.Null(NumaTopology.Read(NumaTopology.SystemDirectory, []).Problem);
    }

    [Fact]
    public void A_directory_that_was_named_and_lists_no_node_to_use_is_a_problem_in_words()
    {
        using TemporaryDirectory empty = new();
        using TemporaryDirectory foreign = Host(("0", "16\n", 100), ("1", "17\n", 100));

        foreach (string directory in new[] { empty.Path, Path.Combine(empty.Path, "none"), foreign.Path })
        {
            NumaTopology topology = NumaTopology.Read(directory, Sixteen);
            Assert.Empty(topology.Nodes);
            Assert.Contains(directory, topology.Problem);
        }
    }

    [Theory]
    [InlineData("cpulist", "zero")]
    [InlineData("cpulist", "0-")]
    [InlineData("cpulist", "3-1")]
    [InlineData("cpulist", "0-1-2")]
    [InlineData("cpulist", "1,0")]
    [InlineData("cpulist", "0,,1")]
    [InlineData("cpulist", "-1")]
    [InlineData("cpulist", "0-99999999")]
    [InlineData("cpulist", "0-999999999999999")]
    [InlineData("cpulist", "4")]
    [InlineData("cpulist", null)]
    [InlineData("meminfo", "")]
    [InlineData("meminfo", "Node 0 MemTotal: many kB")]
    [InlineData("meminfo", "Node 0 MemTotal: 9223372036854775807 kB")]
    [InlineData("meminfo", "\0\u0001")]
    [InlineData("meminfo", null)]
    [InlineData("online", "0-")]
    [InlineData("online", "0-1,5")]
    [InlineData("long", "")]
    public void A_list_that_is_not_one_is_a_problem_in_words_and_no_nodes(string file, string? content)
    {
        using TemporaryDirectory directory = Host(("0", "0-3\n", 100), ("1", "4-7\n", 100));
        string path = Path.Combine(directory.Path, file == "online" ? file : Path.Combine("node0", file == "long" ? "cpulist" : file));
        if (content is null)
            File.Delete(path);
        else
            File.WriteAllText(path, file == "long" ? new string(' ', 1 << 20) : content);

        NumaTopology topology = NumaTopology.Read(directory.Path, Sixteen);

        Assert.Empty(topology.Nodes);
        Assert.Contains(directory.Path, topology.Problem);
    }

    [Fact]
    public void Threads_of_a_bound_pool_run_on_its_cpus_and_the_process_is_left_alone()
    {
        if (CpuAffinity.Allowed() is not { } allowed)
            return;
        int[] one = [allowed[^1]];
        string[] found = new string[64];
        Thread caller = new(() =>
        {
            using CpuCompute compute = new(4, CpuPath.Portable, one);
            compute.BindThread();
            compute.Run(new AffinityWork(found), found.Length);
        });
        caller.Start();
        caller.Join();

        Assert.All(found, cpus => Assert.Equal(string.Join(',', one), cpus));
        Assert.Equal(allowed, CpuAffinity.Allowed());
    }

    private static TemporaryDirectory Host(params (string Id, string Cpus, int Kilobytes)[] nodes)
    {
        TemporaryDirectory directory = new();
        foreach ((string id, string cpus, int kilobytes) in nodes)
        {
            string node = Directory.CreateDirectory(Path.Combine(directory.Path, $"node{id}")).FullName;
            File.WriteAllText(Path.Combine(node, "cpulist"), cpus);
            File.WriteAllText(Path.Combine(node, "meminfo"), $"Node {id} MemTotal:       {kilobytes} kB\nNode {id} MemFree: 1 kB\n");
        }

        return directory;
    }

    private readonly struct AffinityWork(string[] found) : ICpuWork
    {
        public void Part<TLanes>(int part)
            where TLanes : struct, ILanes<TLanes> => found[part] = string.Join(',', CpuAffinity.Allowed()!);
    }
}
