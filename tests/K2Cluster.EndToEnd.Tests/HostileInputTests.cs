using System.Text.Json;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Malformed and extreme bodies against a real gateway: 4xx in OpenAI's shape or a right answer, never 5xx, never a hang.</summary>
public sealed class HostileInputTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    private const int Bodies = 1_000;

    [Fact]
    public async Task A_thousand_hostile_bodies_are_answered()
    {
        int count = 0;
        HostileBodies bodies = new(seed: 1, "k2-nano", vocabularySize: 2048, maxContext: 32_768);
        await Parallel.ForEachAsync(bodies.Generate().Take(Bodies), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (hostile, cancellationToken) =>
        {
            using HttpResponseMessage response = await embedded.Http.SendAsync(hostile.ToMessage(), cancellationToken);
            string text = await response.Content.ReadAsStringAsync(cancellationToken);
            string? complaint = HostileAnswers.Complaint(hostile, (int)response.StatusCode, response.Content.Headers.ContentType?.MediaType, text);
            Assert.True(complaint is null, $"{hostile.What}: {complaint}\n{text}");
            Interlocked.Increment(ref count);
        });
        Assert.Equal(Bodies, count);
        JsonElement after = await embedded.Http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat("What is 12 + 30?"));
        Assert.Contains("42", after.Content());
    }
}
