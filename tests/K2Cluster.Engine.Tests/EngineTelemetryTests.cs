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
    public async Task Tokens_steps_cache_hits_preemptions_and_drafts_are_counted()
    {
        ConcurrentDictionary<string, long> counts = new();
        int steps = 0;
        int recorded = 0;
        using MeterListener listener = new()
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter.Name == K2Telemetry.EngineMeterName)
                    self.EnableMeasurementEvents(instrument);
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) =>
        {
            counts.AddOrUpdate(Name(instrument, tags), value, (_, sum) => sum + value);
            if (Name(instrument, tags) == "k2.speculation.tokens accepted")
                Interlocked.Increment(ref recorded);
        });
        listener.SetMeasurementEventCallback<int>((instrument, value, tags, _) => counts[Name(instrument, tags)] = value);
        listener.SetMeasurementEventCallback<double>((_, _, _, _) => Interlocked.Increment(ref steps));
        listener.Start();

        FakeTrunk trunk = new(pageCount: 8);
        GenerationEngine engine = new(trunk, new EngineOptions { StepTokens = 10, DraftTokens = 4 });
        await engine.Collect(Requests.Make(1, 25, 7) with { DraftTokens = 0 });
        Recorded(trunk.Runs);
        Assert.Equal(3 + 6, steps);
        Assert.Equal((25, 7), (counts["k2.tokens prompt"], counts["k2.tokens completion"]));

        await engine.Collect(Requests.Make(2, 130, 1) with { DraftTokens = 0 });
        await engine.Collect(Requests.Make(2, 130, 1) with { DraftTokens = 0 });
        Recorded(trunk.Runs);
        Assert.Equal(128, counts["k2.prefix_cache.hits"]);
        Assert.Equal(25 + 130 + 2, counts["k2.tokens prompt"]);
        listener.RecordObservableInstruments();
        Assert.Equal((0, 2, 6), (counts["k2.kv.pages used"], counts["k2.kv.pages cached"], counts["k2.kv.pages free"]));
        Assert.Equal((0, 0), (counts["k2.engine.requests waiting"], counts["k2.engine.requests running"]));

        await engine.Collect(Requests.Make(3, 5, 12) with { LogitsProcessor = new Repeat(), MaxTokens = 12 });
        Recorded(trunk.Runs);
        Assert.InRange(counts["k2.speculation.tokens accepted"], 5, counts["k2.speculation.tokens drafted"]);

        using ManualResetEventSlim both = new();
        trunk.BeforeRun = _ => Assert.True(both.Wait(Requests.Patience));
        Task[] tooLong = [engine.Collect(Requests.Make(4, 100, 250)), engine.Collect(Requests.Make(5, 100, 250))];
        both.Set();
        await Task.WhenAll(tooLong);
        Recorded(trunk.Runs);
        Assert.InRange(counts["k2.preemptions"], 1, 10);
        await engine.DisposeAsync();

        // A step is recorded after its tokens were given out. The first of each step's counts is how often the duration was, the
        // last is of drafts: wait for both.
        void Recorded(int runs) => Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref steps) == runs && Volatile.Read(ref recorded) == runs, Requests.Patience));

        static string Name(Instrument instrument, ReadOnlySpan<KeyValuePair<string, object?>> tags) => tags.IsEmpty ? instrument.Name : $"{instrument.Name} {tags[0].Value}";
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

    private sealed class Repeat : ILogitsProcessor
    {
        public void Apply(ReadOnlySpan<int> tokens, int promptLength, Span<float> logits)
        {
            logits.Fill(float.NegativeInfinity);
            logits[9] = 0;
        }
    }
}
