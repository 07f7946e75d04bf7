using K2Cluster.Faults.Runs;
using K2Cluster.Faults.Scenarios;
using K2Cluster.Tests;
using Xunit.Abstractions;

namespace K2Cluster.Faults;

/// <summary>Each scenario once, short: no request fails and no token differs, whatever happens.</summary>
public sealed class FaultTests(ITestOutputHelper output)
{
    private static readonly RunOptions Options = new() { Model = Repository.Path("models", "k2-nano"), Faults = 1, Requests = 40, Tokens = 32, Pause = TimeSpan.FromMilliseconds(300), Length = TimeSpan.FromSeconds(2) };

    /// <summary>Without K2_LONG: what takes processes to be seen at all.</summary>
    private static readonly string[] Short = ["kill", "partition", "rolling-restart"];

    private static readonly Lazy<Task<Reference>> Undisturbed = new(() => Reference.MakeAsync(Options));

    /// <summary>Where K2_REQUIRE_SERVERS is set, as in CI, also those that then fail for what the machine lacks.</summary>
    public static TheoryData<string> Scenarios => new(Scenario.All.Where(IsToRun).Select(scenario => scenario.Name));

    [Theory]
    [MemberData(nameof(Scenarios))]
    public async Task No_request_fails_and_no_token_differs(string name)
    {
        FaultRow row = await Scenario.All.Single(scenario => scenario.Name == name).RunAsync(Options, await Undisturbed.Value);
        output.WriteLine(FaultTable.Head);
        output.WriteLine(FaultTable.Line(row));
        Assert.True(row.InFlight > 0, "No request was under way when the fault came.");
        Assert.True(row is { Failed: 0, Differing: 0 }, $"{row.Failed} failed, {row.Differing} differ: {row.Problem}");
    }

    private static bool IsToRun(Scenario scenario) =>
        (Long.IsAskedFor || Short.Contains(scenario.Name)) && (scenario.Lacks is null || !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("K2_REQUIRE_SERVERS")));
}
