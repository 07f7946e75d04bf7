using System.Text.Json;
using System.Text.Json.Nodes;
using K2Cluster.EndToEnd.Tests.Processes;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>The same tokens on every instruction set, chosen for the whole process as a lesser processor would.</summary>
public sealed class InstructionSetTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    /// <summary>Without the second there is no vector path of our own at all; the tests of the kernels go through each.</summary>
    public static TheoryData<string> InstructionSets => Long.IsAskedFor ? ["DOTNET_EnableAVX512", "DOTNET_EnableAVX2"] : ["DOTNET_EnableAVX2"];

    [Theory]
    [MemberData(nameof(InstructionSets))]
    public async Task A_process_without_an_instruction_set_gives_the_same_tokens(string instructionSet)
    {
        await using GatewayProcess gateway = await GatewayProcess.StartReadyAsync(Programs.Nano, [], new Dictionary<string, string> { [instructionSet] = "0" });
        foreach (double temperature in new[] { 0, 1.5 })
        {
            JsonObject request = OpenAiClient.GreedyChat("What is 123 + 456?");
            request["temperature"] = temperature;
            request["seed"] = 11;
            request["top_k"] = 50;
            request["top_p"] = 0.95;
            request["min_p"] = 0.001;
            request["repetition_penalty"] = 1.05;
            request["logprobs"] = true;
            request["top_logprobs"] = 4;
            JsonElement expected = (await embedded.Http.PostAsync("/v1/chat/completions", request)).GetProperty("choices")[0];
            JsonElement actual = (await gateway.Http.PostAsync("/v1/chat/completions", request)).GetProperty("choices")[0];
            // Ids, text and every digit of the log-probabilities.
            Assert.Equal(expected.GetRawText(), actual.GetRawText());
        }
    }
}
