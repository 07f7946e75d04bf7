using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Net;
using K2Cluster.Telemetry;

namespace K2Cluster.Gateway.Tests;

/// <summary>What an operator sees of a request. Runs alone: listeners hear every test of the process.</summary>
[Collection(nameof(Alone))]
public sealed class TelemetryTests
{
    [Fact]
    public async Task A_request_is_counted_by_api_and_outcome()
    {
        List<string> counted = [];
        long active = 0;
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Meter.Name == K2Telemetry.GatewayMeterName)
                self.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            lock (counted)
            {
                if (instrument == K2Telemetry.ActiveRequests)
                    active += value;
                else
                    counted.Add(string.Join(' ', tags.ToArray().Select(tag => tag.Value)));
            }
        });
        int firsts = 0;
        listener.SetMeasurementEventCallback<double>((instrument, _, _, _) => firsts += instrument == K2Telemetry.TimeToFirstToken ? 1 : 0);
        listener.Start();

        await using (GatewayHost host = await GatewayHost.StartAsync(Tokens.Saying("Hi")))
        {
            Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/v1/chat/completions", """{"messages":[{"role":"user","content":"Hi"}]}""")).Status);
            Assert.Equal(HttpStatusCode.OK, (await host.PostAsync("/v1/completions", """{"prompt":"a","max_tokens":1}""")).Status);
            Assert.Equal(HttpStatusCode.BadRequest, (await host.PostAsync("/v1/completions", "{}")).Status);
            using StringContent plain = new("{}");
            using HttpResponseMessage response = await host.Http.PostAsync("/v1/completions", plain);
            host.NotReady = "no experts";
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await host.PostAsync("/v1/completions", """{"prompt":"a"}""")).Status);
        }

        Assert.Equal(["chat stop", "completions length", "completions rejected", "completions rejected", "completions refused"], counted);
        Assert.Equal(0, active);
        Assert.Equal(2, firsts);
    }

    [Fact]
    public async Task The_engine_is_called_under_the_requests_activity()
    {
        List<Activity> ended = [];
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name == K2Telemetry.ActivitySourceName,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStopped = ended.Add,
        };
        ActivitySource.AddActivityListener(listener);
        MadeUpEngine engine = Tokens.Saying("Hi");
        await using (GatewayHost host = await GatewayHost.StartAsync(engine))
            await host.PostAsync("/v1/completions", """{"prompt":"a","seed":7}""");

        Activity request = Assert.Single(ended, activity => activity.OperationName == "k2.request");
        Assert.Same(request, engine.Caller);
        Assert.Equal(7UL, request.GetTagItem("k2.seed"));
        Assert.Equal(GatewayHost.Model, request.GetTagItem("gen_ai.request.model"));
        Assert.Equal(Tokens.Of("Hi<|im_end|>").Count, request.GetTagItem("gen_ai.usage.output_tokens"));
        Assert.Equal("stop", request.GetTagItem("k2.outcome"));
    }
}
