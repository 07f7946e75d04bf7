using System.Diagnostics;
using System.Net;
using System.Text.Json;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests;

/// <summary>Malformed and extreme bodies against a real gateway: 4xx in OpenAI's shape or a right answer, never 5xx, never a hang.</summary>
public sealed class HostileInputTests(EmbeddedGateway embedded) : IClassFixture<EmbeddedGateway>
{
    [Fact]
    public async Task A_thousand_hostile_bodies_are_answered()
    {
        Stopwatch all = Stopwatch.StartNew();
        int count = 0;
        await Parallel.ForEachAsync(HostileBodies.All(seed: 1).Take(1_000), new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (hostile, cancellationToken) =>
        {
            using HttpRequestMessage request = hostile.ToRequest();
            using HttpResponseMessage response = await embedded.Http.SendAsync(request, cancellationToken);
            string text = await response.Content.ReadAsStringAsync(cancellationToken);
            Assert.True((int)response.StatusCode < 500, $"{hostile}: {(int)response.StatusCode} {text}");
            if (response.StatusCode != HttpStatusCode.OK)
            {
                JsonElement error = JsonDocument.Parse(text).RootElement.GetProperty("error");
                Assert.NotEmpty(error.GetProperty("message").GetString()!);
                Assert.NotEmpty(error.GetProperty("type").GetString()!);
            }

            Interlocked.Increment(ref count);
        });
        Assert.Equal(1_000, count);
        Assert.True(all.Elapsed < TimeSpan.FromMinutes(3), $"took {all.Elapsed}");
        JsonElement after = await embedded.Http.PostAsync("/v1/chat/completions", OpenAiClient.GreedyChat("What is 12 + 30?"));
        Assert.Contains("42", after.Content());
    }
}
