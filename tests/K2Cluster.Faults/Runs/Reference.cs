using K2Cluster.Faults.Hosts;
using K2Cluster.Faults.Traffic;

namespace K2Cluster.Faults.Runs;

/// <summary>The answers to the requests of an embedded gateway that nobody disturbs, one request at a time.</summary>
internal sealed class Reference
{
    private readonly string[] _answers = new string[FaultRequest.Distinct];

    private Reference()
    {
    }

    public string this[int number] => _answers[number % FaultRequest.Distinct];

    public static async Task<Reference> MakeAsync(RunOptions options)
    {
        await using Cluster cluster = new(options.Model, ["--cluster", "embedded"]);
        Gateway gateway = cluster.LaunchGateway(Host.Local, "reference");
        await Cluster.WaitUntilReadyAsync(gateway.Process);
        Reference reference = new();
        for (int i = 0; i < FaultRequest.Distinct; i++)
        {
            StreamedAnswer answer = await gateway.AskAsync(FaultRequest.Make(i, options.Tokens));
            reference._answers[i] = answer.Error is null ? answer.Text : throw new InvalidOperationException($"The reference failed: {answer.Error}");
        }

        return reference;
    }
}
