using K2Cluster.Checkpoint;
using K2Cluster.Cuda.Device;
using K2Cluster.Hosting;
using K2Cluster.Kernels.Devices;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Embedding;

/// <summary>
/// GPUs as devices. With --device auto those that can be used: what cannot is logged, with the reason, and left out. Those
/// asked for by number must work, or the process does not start.
/// </summary>
internal static partial class GpuDevices
{
    /// <exception cref="K2FailureException">A GPU that was asked for by number cannot be used.</exception>
    public static IReadOnlyList<IExpertDevice> Create(ModelDirectory model, K2Options options, ILogger log)
    {
        bool mustWork = !options.Device.Gpus.IsEmpty;
        if (!mustWork && !options.Device.UsesAnyGpu)
            return [];

        CudaCards cards = CudaCards.Find();
        if (cards.Problem is { } problem && mustWork)
            throw Unusable(options, problem);
        if (!cards.HasDriver)
            LogNoDriver(log, cards.Problem!);
        else if (cards.Problem is { } unusable)
            LogNoGpu(log, unusable);

        List<IExpertDevice> devices = [];
        try
        {
            foreach (int ordinal in mustWork ? options.Device.Gpus : [.. cards.All.Select(card => card.Ordinal)])
            {
                if (ordinal >= cards.All.Count)
                    throw Unusable(options, $"there is no GPU {ordinal}; this machine has {string.Join(", ", cards.All.Select(card => card.FullName))}.");
                if (TryOpen(cards.All[ordinal], model, options, log, out string? reason) is { } device)
                    devices.Add(device);
                else if (mustWork)
                    throw Unusable(options, reason!);
                else
                    LogLeftOut(log, reason!);
            }
        }
        catch
        {
            devices.ForEach(device => device.Dispose());
            throw;
        }

        return devices;
    }

    /// <summary>Whether a device that failed before it served anything is left out, as one that could not be opened.</summary>
    /// <exception cref="K2FailureException">It is a GPU that was asked for by number.</exception>
    public static bool LeavesOut(IExpertDevice device, Exception failure, K2Options options, ILogger log)
    {
        if (device is not CudaExpertDevice)
            return false;
        string reason = Named(device.Description.Name, failure);
        if (!options.Device.Gpus.IsEmpty)
            throw Unusable(options, reason);
        LogLeftOut(log, reason);
        return true;
    }

    private static CudaExpertDevice? TryOpen(CudaCard card, ModelDirectory model, K2Options options, ILogger log, out string? reason)
    {
        reason = card.Refusal;
        if (reason is not null)
            return null;
        try
        {
            CudaExpertDevice device = new(card, model.Config, model.Catalog, options.GpuMemory);
            LogGpu(log, card.FullName, device.Description.Kind, device.Description.WeightsBudget / device.ExpertBytes, device.Description.WeightsBudget, device.HasEcc ? "on" : "off");
            return device;
        }
        catch (Exception exception)
        {
            // Whatever a driver, a card or its memory has to say: with auto, the other devices serve.
            reason = Named(card.FullName, exception);
            return null;
        }
    }

    /// <summary>What failed, with the card's name: what a driver says does not have it.</summary>
    private static string Named(string card, Exception failure) =>
        failure.Message.Contains(card, StringComparison.Ordinal) ? failure.Message : $"{card}: {failure.Message}";

    private static K2FailureException Unusable(K2Options options, string reason) => new($"--device {options.Device}: {reason}");

    [LoggerMessage(Level = LogLevel.Information, Message = "{Gpu} is a device of kind {Kind}: room for {Experts} experts, {Budget} bytes, ECC {Ecc}.")]
    private static partial void LogGpu(ILogger logger, string gpu, string kind, long experts, long budget, string ecc);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Problem} Experts are computed on the CPU.")]
    private static partial void LogNoDriver(ILogger logger, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No GPU can be used: {Problem} Experts are computed on the CPU.")]
    private static partial void LogNoGpu(ILogger logger, string problem);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A GPU is left out: {Reason}")]
    private static partial void LogLeftOut(ILogger logger, string reason);
}
