using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.Metrics;
using K2Cluster.Engine.Tests.Fakes;
using K2Cluster.Telemetry;

namespace K2Cluster.Engine.Tests;

/// <summary>Meters belong to the process, so these tests run while no others do.</summary>
[CollectionDefinition("Telemetry", DisableParallelization = true)]
public sealed class TelemetryCollection;

[Collection("Telemetry")]
public sealed class EngineTelemetryTests
{
    [Fact]
    public async Task Tokens_and_steps_are_counted()
    {
        ConcurrentDictionary<string, long> tokens = new();
        int steps = 0;
        using MeterListener listener = new()
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter.Name == K2Telemetry.EngineMeterName)
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((_, value, tags, _) => tokens.AddOrUpdate((string)tags[0].Value!, value, (_, sum) => sum + value));
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => Interlocked.Increment(ref steps));
        listener.Start();

        FakeTrunk trunk = new();
        GenerationEngine engine = new(trunk, new EngineOptions { StepTokens = 10 });
        await engine.Collect(Requests.Make(1, 25, 7));
        await engine.DisposeAsync();

        Assert.Equal((25, 7), (tokens["prompt"], tokens["completion"]));
        Assert.Equal(3 + 6, steps);
        Assert.Equal(trunk.Runs, steps);
    }

    [Fact]
    public async Task A_step_is_a_part_of_its_requests_trace_when_that_is_recorded()
    {
        using ActivitySource callers = new("tests.caller");
        ConcurrentQueue<Activity> steps = new();
        Activity? current = null;
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name is K2Telemetry.ActivitySourceName or "tests.caller",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                if (activity.OperationName == "k2.step")
                    steps.Enqueue(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        FakeTrunk trunk = new() { BeforeRun = _ => current = Activity.Current };
        GenerationEngine engine = new(trunk);

        await engine.Collect(Requests.Make(1, 5, 3));
        Assert.Empty(steps);
        Assert.Null(current);

        using (Activity? request = callers.StartActivity("request"))
        {
            await engine.Collect(Requests.Make(1, 5, 3));
            await engine.DisposeAsync();
            Assert.Equal(3, steps.Count);
            Assert.All(steps, step => Assert.Equal((request!.TraceId, request.SpanId), (step.TraceId, step.ParentSpanId)));
            Assert.Equal("k2.step", current?.OperationName);
        }
    }

    [Fact]
    public async Task A_step_of_two_requests_is_a_part_of_the_firsts_trace_and_links_the_seconds()
    {
        using ActivitySource callers = new("tests.callers");
        ConcurrentQueue<Activity> steps = new();
        using ActivityListener listener = new()
        {
            ShouldListenTo = source => source.Name is K2Telemetry.ActivitySourceName or "tests.callers",
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllDataAndRecorded,
            ActivityStopped = activity =>
            {
                if (activity.OperationName == "k2.step")
                    steps.Enqueue(activity);
            },
        };
        ActivitySource.AddActivityListener(listener);
        using ManualResetEventSlim both = new();
        FakeTrunk trunk = new() { BeforeRun = _ => Assert.True(both.Wait(Requests.Patience)) };
        GenerationEngine engine = new(trunk);
        (ActivityContext first, Task firstDone) = Submit(1);
        (ActivityContext second, Task secondDone) = Submit(2);
        both.Set();
        await Task.WhenAll(firstDone, secondDone);
        await engine.DisposeAsync();

        Activity[] shared = [.. steps.Where(step => 2.Equals(step.GetTagItem("k2.step.sequences")))];
        Assert.NotEmpty(shared);
        Assert.All(shared, step =>
        {
            Assert.Equal((first.TraceId, first.SpanId), (step.TraceId, step.ParentSpanId));
            Assert.Equal(second, Assert.Single(step.Links).Context);
        });

        (ActivityContext, Task) Submit(int mark)
        {
            using Activity request = callers.StartActivity("request")!;
            return (request.Context, engine.Collect(Requests.Make(mark, 5, 5)));
        }
    }
}
