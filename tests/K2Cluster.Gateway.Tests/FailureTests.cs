using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using K2Cluster.Engine;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Gateway.Tests;

/// <summary>What a client sees when something is not as it should be.</summary>
public sealed class FailureTests
{
    private const string Chat = "/v1/chat/completions";
    private const string Hi = """{"messages":[{"role":"user","content":"Hi"}]}""";
    private const string StreamedHi = """{"messages":[{"role":"user","content":"Hi"}],"stream":true}""";

    [Theory]
    [InlineData(Hi)]
    [InlineData(StreamedHi)]
    public async Task A_full_queue_is_429_with_the_time_to_come_back(string body)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Refusal = new EngineBusyException("full", TimeSpan.FromSeconds(2.5)) });
        using HttpResponseMessage response = await host.Http.PostAsync(Chat, GatewayHost.Json(body));

        Assert.Equal(HttpStatusCode.TooManyRequests, response.StatusCode);
        Assert.Equal(TimeSpan.FromSeconds(3), response.Headers.RetryAfter?.Delta);
        Assert.Contains("\"code\":\"queue_full\"", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(GenerationFailure.TimedOut, HttpStatusCode.GatewayTimeout, "timeout")]
    [InlineData(GenerationFailure.Stopped, HttpStatusCode.ServiceUnavailable, "stopping")]
    [InlineData(GenerationFailure.Failed, HttpStatusCode.InternalServerError, "generation_failed")]
    public async Task A_failure_before_the_first_token_has_its_status_in_a_stream_too(GenerationFailure failure, HttpStatusCode status, string code)
    {
        MadeUpEngine engine = new() { Failure = new GenerationException(failure, "shard m/s/0 on host-7 is away"), FailureAt = 0 };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        foreach (string body in new[] { Hi, StreamedHi })
        {
            (HttpStatusCode got, JsonElement answer) = await host.PostAsync(Chat, body);
            Assert.Equal(status, got);
            Assert.Equal(code, answer.GetProperty("error").GetProperty("code").GetString());
            string message = answer.GetProperty("error").GetProperty("message").GetString()!;
            Assert.Contains(engine.Requests[^1].Id, message, StringComparison.Ordinal);
            Assert.DoesNotContain("shard", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_failure_after_the_first_token_ends_a_stream_with_an_error_event()
    {
        MadeUpEngine engine = new() { Failure = new GenerationException(GenerationFailure.TimedOut, "shard m/s/0 is away"), FailureAt = 2 };
        using LogLines log = new();
        await using GatewayHost host = await GatewayHost.StartAsync(engine, configure: builder => builder.Logging.AddProvider(log));
        List<string> events = await host.StreamAsync(Chat, StreamedHi);

        string id = engine.Requests[0].Id;
        Assert.Equal("[DONE]", events[^1]);
        Assert.Equal($$$"""{"error":{"message":"Request '{{{id}}}' passed its time limit of 600 s.","type":"timeout_error","param":null,"code":"timeout"}}""", events[^2]);
        string line = Assert.Single(log.Lines, line => line.Contains(id, StringComparison.Ordinal));
        Assert.Contains("shard m/s/0 is away", line, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_engines_own_fault_after_the_first_token_ends_a_stream_with_an_error_event_too()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Failure = new InvalidOperationException("secret"), FailureAt = 2 });
        List<string> events = await host.StreamAsync(Chat, StreamedHi);

        Assert.Contains("\"code\":\"internal_error\"", events[^2], StringComparison.Ordinal);
        Assert.DoesNotContain(events, item => item.Contains("secret", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_fault_of_ours_is_500_without_its_details()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(new MadeUpEngine { Failure = new InvalidOperationException("secret"), FailureAt = 0 });
        (HttpStatusCode status, JsonElement answer) = await host.PostAsync(Chat, Hi);

        Assert.Equal(HttpStatusCode.InternalServerError, status);
        Assert.DoesNotContain("secret", answer.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task New_work_is_refused_with_the_reason_while_the_gateway_is_not_ready()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        host.NotReady = "2 of 64 experts are on no shard: the operator must start a silo";
        (HttpStatusCode status, JsonElement answer) = await host.PostAsync(Chat, Hi);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Equal("not_ready", answer.GetProperty("error").GetProperty("code").GetString());
        Assert.Equal("This gateway cannot serve now: 2 of 64 experts are on no shard: the operator must start a silo.", answer.GetProperty("error").GetProperty("message").GetString());

        // What needs no experts goes on.
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/tokenize", """{"prompt":"a"}""")).Status);
        host.NotReady = null;
        Assert.Equal(HttpStatusCode.OK, (await host.PostAsync(Chat, Hi)).Status);
    }

    [Theory]
    [InlineData(Hi)]
    [InlineData(StreamedHi)]
    public async Task A_client_that_leaves_ends_its_work(string body)
    {
        MadeUpEngine engine = new() { HangAfter = 3 };
        await using GatewayHost host = await GatewayHost.StartAsync(engine);
        using TcpClient client = new();
        await client.ConnectAsync(host.Http.BaseAddress!.Host, host.Http.BaseAddress.Port);
        byte[] request = Encoding.ASCII.GetBytes($"POST {Chat} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {body.Length}\r\n\r\n{body}");
        await client.GetStream().WriteAsync(request);
        await engine.Hangs.WaitAsync(TimeSpan.FromSeconds(10));
        client.Close();

        Assert.True(await engine.Ended.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Theory]
    [InlineData("GET", "/nowhere", null, 404, "not_found")]
    [InlineData("POST", "/v1/nowhere", "{}", 404, "not_found")]
    [InlineData("GET", Chat, null, 405, "method_not_allowed")]
    [InlineData("DELETE", "/v1/models", null, 405, "method_not_allowed")]
    [InlineData("GET", "/v1/models/other", null, 404, "model_not_found")]
    public async Task Routing_errors_have_the_shape_too(string method, string path, string? body, int status, string code)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        using HttpRequestMessage request = new(new HttpMethod(method), path) { Content = body is null ? null : GatewayHost.Json(body) };
        using HttpResponseMessage response = await host.Http.SendAsync(request);

        Assert.Equal(status, (int)response.StatusCode);
        JsonElement error = JsonElement.Parse(await response.Content.ReadAsStringAsync()).GetProperty("error");
        Assert.Equal(code, error.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("text/plain", 415)]
    [InlineData("application/x-www-form-urlencoded", 415)]
    [InlineData("application/json; charset=utf-16", 415)]
    [InlineData("application/json; charset=utf-8", 200)]
    [InlineData("application/vnd.api+json", 200)]
    [InlineData(null, 415)]
    public async Task Only_JSON_in_UTF8_is_read(string? type, int status)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        using ByteArrayContent content = new(Encoding.UTF8.GetBytes(Hi));
        if (type is not null)
            content.Headers.TryAddWithoutValidation("Content-Type", type);
        using HttpResponseMessage response = await host.Http.PostAsync(Chat, content);

        Assert.Equal(status, (int)response.StatusCode);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_beyond_the_limit_is_413(bool announced)
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        using ByteArrayContent content = new(new byte[(32 << 20) + 1]);
        content.Headers.TryAddWithoutValidation("Content-Type", "application/json");
        using HttpRequestMessage request = new(HttpMethod.Post, Chat) { Content = content };
        request.Headers.TransferEncodingChunked = !announced;
        request.Headers.ExpectContinue = true;
        using HttpResponseMessage response = await host.Http.SendAsync(request);

        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, response.StatusCode);
        Assert.Contains("\"code\":\"body_too_large\"", await response.Content.ReadAsStringAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Models_are_listed_by_the_name_they_are_asked_for()
    {
        await using GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi"));
        JsonElement list = JsonElement.Parse(await host.Http.GetStringAsync("/v1/models"));
        JsonElement one = JsonElement.Parse(await host.Http.GetStringAsync("/v1/models/nano"));

        JsonElement model = Assert.Single(list.GetProperty("data").EnumerateArray());
        Assert.Equal("""{"id":"nano","object":"model","created":0,"owned_by":"k2cluster","max_model_len":4096}""", model.GetRawText());
        Assert.Equal(model.GetRawText(), one.GetRawText());
    }
}
