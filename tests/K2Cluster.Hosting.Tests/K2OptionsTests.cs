using System.Net;
using K2Cluster.Cluster;
using K2Cluster.Kernels.Devices.Cpu;
using K2Cluster.Tests;
using Microsoft.Extensions.Configuration;

namespace K2Cluster.Hosting.Tests;

public sealed class K2OptionsTests
{
    private static readonly string Nano = Repository.Path("models", "k2-nano");

    [Fact]
    public void A_gateway_without_options_serves_the_bundled_model_embedded_on_loopback()
    {
        K2Options options = Read(K2Role.Gateway);

        Assert.Equal(Nano, options.Model);
        Assert.Equal("k2-nano", options.Name);
        Assert.Equal(ClusterMode.Embedded, options.Cluster);
        Assert.Equal("http://127.0.0.1:8080", options.Http.ToString());
        Assert.Equal("http://127.0.0.1:8081", options.Grpc?.ToString());
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 0), options.Listen);
        Assert.Equal(options.Listen, options.Advertise);
        Assert.Equal((DeviceChoice.Auto, CpuActivations.Bits16, null), (options.Device, options.CpuActivations, options.GpuMemory));
        Assert.Equal("/sys/devices/system/node", options.NumaDirectory);
        Assert.Equal(Environment.ProcessorCount, options.Threads);
        Assert.False(options.Insecure);
        Assert.Equal(TimeSpan.FromMinutes(1), options.DrainTimeout);
        Assert.True(options.Memory > 0 && options.KvMemory > 0);
        Assert.Equal((true, 0, 256, 1024, 512, 256), (options.PrefixCache, options.Speculate, options.MaxRunning, options.MaxWaiting, options.StepTokens, options.ChunkTokens));
    }

    [Fact]
    public void A_silo_joins_the_cluster_of_this_machine_and_takes_a_free_port()
    {
        K2Options options = Read(K2Role.Silo);

        Assert.Equal(ClusterMode.Localhost, options.Cluster);
        Assert.Equal(new IPEndPoint(IPAddress.Loopback, 0), options.Http.EndPoint);
        Assert.Null(options.Grpc);
    }

    [Fact]
    public void Every_option_is_read()
    {
        K2Options options = Read(K2Role.Gateway,
            "--model", Repository.Fixture("tiny-k2"), "--name", "moonshotai/Kimi-K2:test", "--cluster", "redis", "--redis", "cache:6379,password=secret",
            "--cluster-id", "blue", "--silo-name", "g1", "--device", "cpu", "--cpu-activations", "int8", "--numa", "off", "--memory", "20GiB", "--kv-memory", "1.5GB", "--threads", "3",
            "--prefix-cache", "off", "--speculate", "8", "--max-running", "64", "--max-waiting", "10", "--step-tokens", "1024", "--chunk-tokens", "128", "--drain-timeout", "90",
            "--http", "http://0.0.0.0:9000/", "--grpc", "http://[::]:0", "--listen", "10.0.0.5:11111", "--advertise", "192.168.7.9", "--insecure");

        Assert.Equal(Repository.Fixture("tiny-k2"), options.Model);
        Assert.Equal("moonshotai/Kimi-K2:test", options.Name);
        Assert.Equal(ClusterMode.Redis, options.Cluster);
        Assert.Equal("cache:6379,password=secret", options.Redis);
        Assert.Equal(("blue", "g1", DeviceChoice.Cpu, 3), (options.ClusterId, options.SiloName, options.Device, options.Threads));
        Assert.Equal(CpuActivations.Bits8, options.CpuActivations);
        Assert.Null(options.NumaDirectory);
        Assert.Equal(TimeSpan.FromSeconds(90), options.DrainTimeout);
        Assert.Equal((20L << 30, 20L << 30), (options.Memory, options.GpuMemory));
        Assert.Equal(1_500_000_000, options.KvMemory);
        Assert.Equal((false, 8, 64, 10, 1024, 128), (options.PrefixCache, options.Speculate, options.MaxRunning, options.MaxWaiting, options.StepTokens, options.ChunkTokens));
        Assert.Equal("http://0.0.0.0:9000", options.Http.ToString());
        Assert.Equal("http://[::]:0", options.Grpc?.ToString());
        Assert.Equal("10.0.0.5:11111", options.Listen.ToString());
        Assert.Equal("192.168.7.9:0", options.Advertise.ToString());
        Assert.True(options.Insecure);
    }

    [Fact]
    public void Certificates_allow_cluster_traffic_beyond_this_machine_and_nothing_else()
    {
        using TestAuthority authority = new();
        (string certificate, string key) = authority.Sign();
        string[] tls = ["--tls-cert", certificate, "--tls-key", key, "--tls-ca", authority.File];

        K2Options options = Read(K2Role.Silo, ["--listen", "10.0.0.5:11111", .. tls]);

        Assert.NotNull(options.Certificates);
        Assert.False(options.Insecure);
        Assert.Contains("--tls-cert", Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--listen", "10.0.0.5:11111")).Message);
        Assert.Contains("--insecure", Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, ["--http", "http://10.0.0.5:8080", .. tls])).Message);
        Assert.Contains("--insecure", Assert.Throws<K2OptionsException>(() => Read(K2Role.Gateway, ["--grpc", "http://10.0.0.5:8081", .. tls])).Message);
    }

    [Fact]
    public void Certificates_come_as_three_files_that_go_together_or_not_at_all()
    {
        using TestAuthority authority = new();
        (string certificate, string key) = authority.Sign();
        (_, string otherKey) = authority.Sign();

        Assert.Null(Read(K2Role.Silo).Certificates);
        Assert.Contains("add --tls-key and --tls-ca.", Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--tls-cert", certificate)).Message);
        Assert.Contains("add --tls-cert.", Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--tls-key", key, "--tls-ca", authority.File)).Message);
        Assert.Contains(otherKey, Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--tls-cert", certificate, "--tls-key", otherKey, "--tls-ca", authority.File)).Message);
        Assert.Contains("cannot be read", Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--tls-cert", "", "--tls-key", key, "--tls-ca", authority.File)).Message);
    }

    [Theory]
    [InlineData("--cluster", "kubernetes", "embedded, localhost or redis")]
    [InlineData("--memory", "512 mib", null)]
    [InlineData("--memory", "20", "such as 20GiB")]
    [InlineData("--memory", "20G", "such as 20GiB")]
    [InlineData("--memory", "-1GiB", "such as 20GiB")]
    [InlineData("--memory", "0", "such as 20GiB")]
    [InlineData("--memory", "99999999999TiB", "such as 20GiB")]
    [InlineData("--kv-memory", "much", "such as 20GiB")]
    [InlineData("--prefix-cache", "yes", "on or off")]
    [InlineData("--speculate", "17", "from 0 to 16")]
    [InlineData("--max-running", "0", "from 1 to 8192")]
    [InlineData("--max-waiting", "-1", "from 1 to 1000000")]
    [InlineData("--step-tokens", "8193", "from 1 to 8192")]
    [InlineData("--chunk-tokens", "0", "from 1 to 8192")]
    [InlineData("--threads", "0", "from 1 to 1024")]
    [InlineData("--threads", "1e3", "from 1 to 1024")]
    [InlineData("--device", "CUDA:3", null)]
    [InlineData("--device", "cuda:1,0", null)]
    [InlineData("--device", "cuda", "cuda:0,1")]
    [InlineData("--device", "cuda:", "cuda:0,1")]
    [InlineData("--device", "cuda:0,0", "cuda:0,1")]
    [InlineData("--device", "cuda:-1", "cuda:0,1")]
    [InlineData("--device", "cuda:64", "cuda:0,1")]
    [InlineData("--device", "tpu", "auto, cpu, or GPUs")]
    [InlineData("--cpu-activations", "int4", "int16 or int8")]
    [InlineData("--cpu-activations", "INT16", null)]
    [InlineData("--name", "a b", "letters, digits")]
    [InlineData("--name", "", "letters, digits")]
    [InlineData("--cluster-id", "../up", "letters, digits")]
    [InlineData("--silo-name", ".hidden", "not starting with a dot")]
    [InlineData("--http", "127.0.0.1:8080", "http://ADDRESS:PORT")]
    [InlineData("--http", "http://127.0.0.1", "http://ADDRESS:PORT")]
    [InlineData("--http", "http://127.0.0.1:70000", "http://ADDRESS:PORT")]
    [InlineData("--http", "http://127.1:80", "http://ADDRESS:PORT")]
    [InlineData("--http", "http://example.com:80", "http://ADDRESS:PORT")]
    [InlineData("--http", "http://127.0.0.1:80/path", "http://ADDRESS:PORT")]
    [InlineData("--http", "https://127.0.0.1:8443", "TLS proxy")]
    [InlineData("--http", "http://localhost:8080", null)]
    [InlineData("--http", "http://[::1]:8080", null)]
    [InlineData("--http", "http://0.0.0.0:8080", "--insecure")]
    [InlineData("--grpc", "http://10.0.0.5:8081", "--insecure")]
    [InlineData("--listen", "0.0.0.0:11111", "--insecure")]
    [InlineData("--listen", "here", "an IP address")]
    [InlineData("--listen", "127.0.0.1:", "an IP address")]
    [InlineData("--advertise", "127.0.0.1:99999", "a host name or address")]
    [InlineData("--advertise", "0.0.0.0", "at which other processes reach")]
    [InlineData("--redis", "127.0.0.1:6379", "only used with --cluster redis")]
    public void A_value_is_accepted_or_refused_with_option_value_and_remedy(string option, string value, string? remedy)
    {
        if (remedy is null)
        {
            Read(K2Role.Gateway, option, value);
            return;
        }

        K2OptionsException refused = Assert.Throws<K2OptionsException>(() => Read(K2Role.Gateway, option, value));
        Assert.StartsWith(option, refused.Message);
        Assert.Contains(value, refused.Message);
        Assert.Contains(remedy, refused.Message);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Fact]
    public void A_device_is_the_CPU_with_or_without_GPUs_or_GPUs_by_number()
    {
        Assert.Equal((true, true, 0), Parts("auto"));
        Assert.Equal((true, false, 0), Parts("cpu"));
        Assert.Equal((false, false, 2), Parts("cuda:3,1"));
        Assert.Equal([3, 1], DeviceChoice.TryParse("cuda:3,1")!.Gpus.ToArray());
        Assert.Equal("cuda:3,1", DeviceChoice.TryParse("cuda:3,1")!.ToString());

        static (bool, bool, int) Parts(string text)
        {
            DeviceChoice choice = DeviceChoice.TryParse(text)!;
            return (choice.UsesCpu, choice.UsesAnyGpu, choice.Gpus.Length);
        }
    }

    [Theory]
    [InlineData("--cluster redis: needs --redis", "--cluster", "redis")]
    [InlineData("HOST:PORT", "--cluster", "redis", "--redis", "cache")]
    [InlineData("use localhost or redis", "--cluster", "embedded")]
    public void A_silo_refuses_options_that_do_not_go_together(string message, params string[] args)
    {
        K2OptionsException refused = Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, args));
        Assert.Contains(message, refused.Message);
    }

    [Fact]
    public void A_wrong_Redis_setting_is_named_without_its_password()
    {
        K2OptionsException refused = Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--cluster", "redis", "--redis", "cache,password=secret"));
        Assert.DoesNotContain("secret", refused.Message);
    }

    [Theory]
    [InlineData("--model")]
    [InlineData("--modle", "x")]
    [InlineData("--model", "a", "--model", "b")]
    [InlineData("stray")]
    [InlineData("@response-file")]
    [InlineData("[diagram]")]
    [InlineData("--insecure", "perhaps")]
    public void A_command_line_that_does_not_parse_is_refused(params string[] args) =>
        Assert.Throws<K2OptionsException>(() => Read(K2Role.Gateway, args));

    [Fact]
    public void A_silo_has_no_gRPC_and_no_KV_cache()
    {
        Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--grpc", "http://127.0.0.1:1"));
        Assert.Throws<K2OptionsException>(() => Read(K2Role.Silo, "--kv-memory", "1GiB"));
    }

    [Fact]
    public void The_command_line_wins_over_the_environment_and_the_environment_over_a_file()
    {
        string prefix = $"K2TEST_{Guid.NewGuid():N}_";
        Environment.SetEnvironmentVariable($"{prefix}K2__Name", "environment");
        Environment.SetEnvironmentVariable($"{prefix}K2__Threads", "2");
        Environment.SetEnvironmentVariable($"{prefix}K2__Device", "");
        IConfigurationRoot configuration = new ConfigurationBuilder()
            .AddInMemoryCollection([new("K2:Name", "file"), new("K2:Threads", "1"), new("K2:SiloName", "from-file"), new("k2:memory", "1GiB")])
            .AddEnvironmentVariables(prefix)
            .Add(new K2CommandLineSource(Parse(K2Role.Gateway, "--name", "line")))
            .Build();

        K2Options options = new K2OptionsReader(configuration, K2Role.Gateway).Read();

        Assert.Equal(("line", 2, "from-file", 1L << 30, DeviceChoice.Auto), (options.Name, options.Threads, options.SiloName, options.Memory, options.Device));
    }

    [Fact]
    public void A_refusal_says_where_the_value_came_from()
    {
        string prefix = $"K2TEST_{Guid.NewGuid():N}_";
        Environment.SetEnvironmentVariable($"{prefix}K2__Threads", "many");
        IConfigurationRoot environment = new ConfigurationBuilder().AddEnvironmentVariables(prefix).Build();
        IConfigurationRoot file = new ConfigurationBuilder().AddInMemoryCollection([new("K2:Threads", "many")]).Build();

        Assert.StartsWith("K2__Threads (--threads) many", Assert.Throws<K2OptionsException>(() => new K2OptionsReader(environment, K2Role.Silo).Read()).Message);
        Assert.StartsWith("K2:Threads (--threads) many", Assert.Throws<K2OptionsException>(() => new K2OptionsReader(file, K2Role.Silo).Read()).Message);
    }

    [Fact]
    public void A_setting_that_no_role_knows_is_refused_and_one_of_the_other_role_is_not()
    {
        static void Read(string key) => new K2OptionsReader(new ConfigurationBuilder().AddInMemoryCollection([new(key, "http://127.0.0.1:1")]).Build(), K2Role.Silo).Read();

        Read("K2:Grpc");
        Assert.Contains("K2__Modle", Assert.Throws<K2OptionsException>(() => Read("K2:Modle")).Message);
    }

    [Fact]
    public void A_missing_model_is_a_failure_that_names_it()
    {
        K2FailureException missing = Assert.Throws<K2FailureException>(() => Read(K2Role.Gateway, "--model", "no/such/model"));
        Assert.Contains("no/such/model", missing.Message);
        Assert.Contains(Path.GetFullPath("no/such/model"), missing.Message);
        Assert.Contains("it is a file", Assert.Throws<K2FailureException>(() => Read(K2Role.Gateway, "--model", Path.Combine(Nano, "config.json"))).Message);
    }

    [Fact]
    public void Processes_of_one_model_have_one_cluster_id_and_other_models_another()
    {
        string id = Read(K2Role.Gateway, "--model", Nano).ClusterId;

        Assert.Equal(id, Read(K2Role.Silo, "--model", Nano + "/").ClusterId);
        Assert.Matches("^k2-nano-[0-9a-f]{8}$", id);
        Assert.NotEqual(id, Read(K2Role.Silo, "--model", Repository.Fixture("tiny-k2")).ClusterId);
    }

    [Fact]
    public void Silos_without_a_name_get_different_ones()
    {
        string[] names = [.. Enumerable.Range(0, 20).Select(_ => Read(K2Role.Silo).SiloName)];

        Assert.Equal(names.Length, names.Distinct().Count());
        Assert.All(names, name => Assert.Matches("^[A-Za-z0-9_-][A-Za-z0-9._-]*$", name));
    }

    [Fact]
    public void A_silo_on_every_address_needs_an_address_for_the_others()
    {
        K2Options options = Read(K2Role.Silo, "--listen", "0.0.0.0:11111", "--advertise", "localhost", "--insecure");

        Assert.Equal("0.0.0.0:11111", options.Listen.ToString());
        Assert.Equal("127.0.0.1:0", options.Advertise.ToString());
    }

    private static Dictionary<string, string?> Parse(K2Role role, params string[] args)
    {
        Assert.True(new K2CommandLine(role).TryRead(args, TextWriter.Null, out Dictionary<string, string?>? values, out _));
        return values;
    }

    private static K2Options Read(K2Role role, params string[] args) =>
        new K2OptionsReader(new ConfigurationBuilder().Add(new K2CommandLineSource(Parse(role, args))).Build(), role).Read();
}
