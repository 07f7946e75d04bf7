using System.Text.Json;
using K2Cluster.Tests;

namespace K2Cluster.Cli.Tests;

public sealed class PlanTests
{
    [Fact]
    public async Task Kimi_K2_on_two_hosts_of_eight_cards_fits_and_every_figure_is_told()
    {
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "plan.json");

        (int code, string output, string error) = await ToolRun.RunAsync("plan", "k2", "--device", "host-1..2=8xH100", "--replicas", "1", "--load-rate", "2GB/s", "--network", "100GbE", "--gateway", "3.35TB/s", "--json", file);

        Assert.Equal((0, ""), (code, error));
        Assert.Contains("60 × 384 experts of 24.8 MB, 570.8 GB together; trunk 23.4 GB", output);
        Assert.Contains("It fits: 581", output);
        Assert.Contains("A gateway takes 23.4 GB and its --kv-memory (287.8 MB for each sequence of 4,096 tokens)", output);
        Assert.Contains("No host may be lost without a wait, any 1 host with reloading", output);
        JsonElement report = JsonDocument.Parse(File.ReadAllBytes(file)).RootElement;
        Assert.Equal(23_040, report.GetProperty("devices").EnumerateArray().Sum(device => device.GetProperty("experts").GetInt32()));
        JsonElement loss = report.GetProperty("losses")[0];
        Assert.Equal((11_520, 0), (loss.GetProperty("lost").GetInt32(), loss.GetProperty("homeless").GetInt32()));
        Assert.Equal(11_520 * 24.772608e6 / 2e9, loss.GetProperty("reload_seconds").GetDouble(), 0.1);
        JsonElement step = report.GetProperty("steps")[0];
        Assert.InRange(step.GetProperty("trunk").GetDouble(), 0.006, 0.0075); // 21.1 GB
        Assert.InRange(step.GetProperty("network").GetDouble(), 60 * 80e-6, 60 * 110e-6);
        Assert.InRange(step.GetProperty("experts").GetDouble(), 60 * 7.4e-6, 60 * 24e-6); // one to three experts on the busiest card
    }

    [Fact]
    public async Task What_does_not_fit_is_told_with_the_bytes_and_the_exit_code()
    {
        (int code, string output, string error) = await ToolRun.RunAsync("plan", "bench-4b", "--device", "a=cpu:1GiB@20GB/s");

        Assert.Equal((1, ""), (code, error));
        Assert.Matches(@"It does not fit: \d+ experts find no room, [\d.]+ MB are missing", output);
        Assert.DoesNotContain("roofline", output);
    }

    [Fact]
    public async Task A_checkpoint_on_unlike_devices_from_a_file_survives_a_host_with_replicas()
    {
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "devices.json");
        File.WriteAllText(file, """["small=cpu:64MiB@20GB/s", "large=2xcpu:64MiB@40GB/s"]""");

        (int code, string output, string error) = await ToolRun.RunAsync("plan", Repository.Path("models", "k2-nano"), "--devices", file, "--batch", "1,4");

        Assert.Equal((0, ""), (code, error));
        Assert.Contains("Any 1 host may be lost without a wait, any 1 host with reloading", output);
        Assert.Contains("no wait", output);
        Assert.Contains("large/0, large/1", output);
        Assert.Matches(@"(?m)^ *4 +[\d.]+ [µm]s", output);
    }

    [Fact]
    public async Task Where_only_some_hosts_may_be_lost_they_are_named_in_the_order_of_their_numbers()
    {
        (int code, string output, string error) = await ToolRun.RunAsync("plan", Repository.Path("models", "k2-nano"), "--replicas", "1", "--device", "nas=cpu:64MiB@20GB/s", "--device", "desk-2..11=cpu:50KiB@20GB/s");

        Assert.Equal((0, ""), (code, error));
        Assert.Contains("No host may be lost without a wait. With reloading: desk-2 … desk-11 (10); not nas; at 1 GB/s a host:", output);
    }

    [Theory]
    [InlineData("there is neither a checkpoint nor a shape", "nowhere", "--device", "a=H100")]
    [InlineData("There is no device", "tiny")]
    [InlineData("--device a=H1000: HOST=", "tiny", "--device", "a=H1000")]
    [InlineData("--device a: HOST=", "tiny", "--device", "a")]
    [InlineData("--device a=cpu:1GB: HOST=", "tiny", "--device", "a=cpu:1GB")]
    [InlineData("--device a=cpu:0GB@1GB/s: HOST=", "tiny", "--device", "a=cpu:0GB@1GB/s")]
    [InlineData("--device a4..1=H100: that is no device", "tiny", "--device", "a4..1=H100")]
    [InlineData("--device h-1..4096=H100: that is no device, or more than 512, which would take too long", "tiny", "--device", "h-1..4096=H100")]
    [InlineData("More than 512 devices would take too long to plan", "tiny", "--device", "a-1..300=H100", "--device", "b-1..300=H100")]
    [InlineData("--device a1..999999=9999xH100: that is no device", "tiny", "--device", "a1..999999=9999xH100")]
    [InlineData("--load-rate fast: a rate like", "tiny", "--device", "a=H100", "--load-rate", "fast")]
    [InlineData("--gateway 5GB: a rate like", "tiny", "--device", "a=H100", "--gateway", "5GB")]
    [InlineData("--load-rate 0.000000001KB/s: a rate like 2GB/s is expected, 1KB/s or more", "tiny", "--device", "a=H100", "--load-rate", "0.000000001KB/s")]
    [InlineData("--gateway 0.999KB/s: a rate like 2GB/s is expected, 1KB/s or more", "tiny", "--device", "a=H100", "--gateway", "0.999KB/s")]
    [InlineData("--device a=16xsm:100GB@0.000000001KB/s: HOST=", "tiny", "--device", "a=16xsm:100GB@0.000000001KB/s")]
    [InlineData("--network 59s@0.000000001Kb/s: 1GbE,", "tiny", "--device", "a=H100", "--network", "59s@0.000000001Kb/s")]
    [InlineData("--network token-ring: 1GbE,", "tiny", "--device", "a=H100", "--network", "token-ring")]
    [InlineData("missing.json: a JSON array", "tiny", "--devices", "missing.json")]
    public async Task What_cannot_be_understood_is_said_with_what_is_expected(string mention, params string[] args)
    {
        (int code, string output, string error) = await ToolRun.RunAsync(["plan", .. args]);

        Assert.Equal((1, ""), (code, output));
        Assert.StartsWith(mention, error.Replace("nowhere: ", "", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_file_of_devices_may_begin_with_the_mark_of_UTF_8()
    {
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "devices.json");
        File.WriteAllBytes(file, [0xEF, 0xBB, 0xBF, .. """["a=H100"]"""u8]);

        (int code, _, string error) = await ToolRun.RunAsync("plan", "tiny", "--devices", file);

        Assert.Equal((0, ""), (code, error));
    }

    [Fact]
    public async Task A_file_of_devices_is_read_so_far_and_no_further()
    {
        using TemporaryDirectory directory = new();
        string file = Path.Combine(directory.Path, "devices.json");
        File.WriteAllText(file, $"""["a=H100"{new string(' ', 1 << 20)}]""");

        (int code, _, string error) = await ToolRun.RunAsync("plan", "tiny", "--devices", file);

        Assert.Equal(1, code);
        Assert.Contains("devices.json: a JSON array of texts is expected, each as after --device; this is larger than 1 MiB.", error);
    }

    [Theory]
    [InlineData("80GiB", 80.0 * (1L << 30))]
    [InlineData("1.5TB", 1.5e12)]
    [InlineData("64 MB", 64e6)]
    [InlineData("80Gb", 0)]
    [InlineData("GB", 0)]
    [InlineData("-1GB", 0)]
    public void Bytes_are_read_as_people_write_them(string text, double expected)
    {
        Assert.Equal(expected > 0, Quantity.TryBytes(text, out double bytes));
        Assert.Equal(expected, bytes);
    }

    [Theory]
    [InlineData("3.35TB/s", 3.35e12)]
    [InlineData("10Gb/s", 1.25e9)]
    [InlineData("10Gbit/s", 1.25e9)]
    [InlineData("1KB/s", 1000)]
    [InlineData("10GB", 0)]
    [InlineData("1GB/h", 0)]
    public void Rates_are_read_as_people_write_them(string text, double expected)
    {
        Assert.Equal(expected > 0, Quantity.TryRate(text, out double rate));
        Assert.Equal(expected, rate);
    }
}
