using System.Text.Json;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>What k2-nano must say where its margins are wide: the greedy completions of the FP32 oracle.</summary>
internal static class Answers
{
    private const double WideMargin = 0.3;

    public static IReadOnlyList<Answer> Certain { get; } =
        [.. JsonSerializer.Deserialize<List<Answer>>(File.ReadAllText(Repository.Fixture("k2-nano", "answers.json")), JsonSerializerOptions.Web)!
            .Where(answer => answer.Margin >= WideMargin)];

    internal sealed record Answer(JsonElement Messages, JsonElement? Tools, string Completion, double Margin)
    {
        [System.Text.Json.Serialization.JsonPropertyName("prompt_tokens")]
        public int PromptTokens { get; init; }

        public override string ToString() => Messages[Messages.GetArrayLength() - 1].ToString();
    }
}
