using K2Cluster.Faults.Traffic;

namespace K2Cluster.Faults.Runs;

/// <summary>Puts load on a gateway, lets a scenario disturb it, and compares every answer with the undisturbed one.</summary>
internal static class Measurement
{
    /// <param name="fault">Its name.</param>
    /// <param name="request">Runs the request of a number.</param>
    /// <param name="reference">The right answers.</param>
    /// <param name="options">How much load.</param>
    /// <param name="disturb">Puts in the faults.</param>
    public static async Task<FaultRow> RunAsync(string fault, Func<int, Task<StreamedAnswer>> request, Reference reference, RunOptions options, Func<Disturbance, Task> disturb)
    {
        async Task<StreamedAnswer> AskAsync(int number)
        {
            StreamedAnswer answer = await request(number);
            await Task.Delay(options.Pause);
            return answer;
        }

        // The first ones are slow for what is compiled; then those to compare with.
        await Load.Start(AskAsync, options.AtOnce, options.AtOnce).EndAsync();
        IReadOnlyList<(int Number, StreamedAnswer Answer)> calm = await Load.Start(AskAsync, options.AtOnce, Math.Max(FaultRequest.Distinct, options.Requests / 10)).EndAsync();

        Load load = Load.Start(AskAsync, options.AtOnce);
        Disturbance disturbance = new(load, options);
        await load.WaitForAsync(options.AtOnce / 2, TimeSpan.FromSeconds(60));
        try
        {
            await disturb(disturbance);
            await load.WaitForAsync(Math.Max(options.AtOnce, options.Requests - load.Done), TimeSpan.FromMinutes(10));
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            IReadOnlyList<(int Number, StreamedAnswer Answer)> soFar = await load.StopAsync();
            string? failed = soFar.Select(done => done.Answer.Error).FirstOrDefault(error => error is not null);
            throw new InvalidOperationException($"{fault}: {exception.Message} Of {soFar.Count} requests, the first to fail: {failed ?? "none"}", exception);
        }

        return Row(fault, disturbance, calm, await load.StopAsync(), reference);
    }

    private static FaultRow Row(string fault, Disturbance disturbance, IReadOnlyList<(int Number, StreamedAnswer Answer)> calm, IReadOnlyList<(int Number, StreamedAnswer Answer)> done, Reference reference)
    {
        string? failure = done.Concat(calm).Select(each => each.Answer.Error).FirstOrDefault(error => error is not null);
        (int Number, StreamedAnswer Answer)[] differing = [.. done.Concat(calm).Where(each => each.Answer.Error is null && each.Answer.Text != reference[each.Number])];
        TimeSpan[] before = [.. calm.Select(each => each.Answer.Duration)];
        TimeSpan[] after = [.. done.Select(each => each.Answer.Duration)];
        return new FaultRow
        {
            Fault = fault,
            Faults = disturbance.Times.Count,
            InFlight = disturbance.InFlight,
            Requests = done.Count,
            Failed = done.Concat(calm).Count(each => each.Answer.Error is not null),
            Differing = differing.Length,
            AddedMedian = after.At(0.5) - before.At(0.5),
            Added99 = after.At(0.99) - before.At(0.99),
            AddedGap = done.Max(each => each.Answer.LongestGap) - calm.Max(each => each.Answer.LongestGap),
            Recoveries = [.. disturbance.Times.Select(time => done.Select(each => each.Answer.GoesOnAfter(time)).Max() ?? TimeSpan.Zero)],
            Problem = failure ?? (differing.Length == 0 ? null : $"request {differing[0].Number}: {differing[0].Answer.Text} instead of {reference[differing[0].Number]}"),
        };
    }
}
