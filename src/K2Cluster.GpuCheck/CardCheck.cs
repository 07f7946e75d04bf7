using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Measures;
using K2Cluster.GpuCheck.Reports;
using K2Cluster.GpuCheck.Verification;
using ManagedCuda;

namespace K2Cluster.GpuCheck;

/// <summary>The whole check of a card: verify, measure, report.</summary>
public static class CardCheck
{
    private const int Failed = 1;

    private const string Python = "python3";

    /// <summary>What PyTorch has when the budget is spent.</summary>
    private static readonly TimeSpan TorchTime = TimeSpan.FromSeconds(20);

    /// <summary>Runs it.</summary>
    /// <returns>0 when every kernel agrees; 1 when one does not, or when there is no card to ask.</returns>
    public static int Run(CheckOptions options, TextWriter output, TextWriter error, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(error);
        CudaCards cards = CudaCards.Find();
        if (cards.Problem is { } problem)
        {
            error.WriteLine($"{problem} {(cards.HasDriver ? "See what nvidia-smi says, and CUDA_VISIBLE_DEVICES." : "Run this where an NVIDIA driver is installed; in a container, with the host's GPUs (docker run --gpus all). docs/gpu-check.md says how to take it to another machine.")}");
            return Failed;
        }

        if (options.Device < 0 || options.Device >= cards.All.Count)
        {
            error.WriteLine($"There is no cuda:{options.Device}: {string.Join(", ", cards.All.Select(found => found.FullName))}.");
            return Failed;
        }

        CudaCard card = cards.All[options.Device];
        if (card.Refusal is { } refusal)
        {
            error.WriteLine(refusal);
            return Failed;
        }

        try
        {
            // Minutes of a card should not end at a directory that cannot be written to.
            string directory = options.Output ?? (Directory.Exists("docs/benchmarks") ? "docs/benchmarks" : ".");
            Directory.CreateDirectory(directory);
            CheckReport report = Check(card, options.Quick ? CheckPlan.Quick : CheckPlan.Full, options.Quick, output, cancellation);
            string text = ReportText.Of(report);
            output.WriteLine();
            output.Write(text);
            Write(directory, card, text, report, output);
            foreach (Disagreement wrong in report.Disagreements)
                error.WriteLine($"{wrong.Target} {wrong.Kernel}: {wrong.What} ({wrong.Where})");
            return report.Passed ? 0 : Failed;
        }
        catch (Exception failure) when (failure is CudaException or IOException or UnauthorizedAccessException or NotSupportedException)
        {
            error.WriteLine($"{card.FullName}: {failure.Message}");
            return Failed;
        }
        catch (OperationCanceledException)
        {
            error.WriteLine("The check was cancelled: nothing is reported.");
            return Failed;
        }
    }

    private static CheckReport Check(CudaCard card, CheckPlan plan, bool isQuick, TextWriter output, CancellationToken cancellation)
    {
        Progress progress = new(output);
        DateTimeOffset started = DateTimeOffset.UtcNow;
        using Gpu gpu = new(card);
        progress.Say($"{card.FullName}, compute capability {card.Capability.ToString()}");
        List<VerifiedKernel> verified = [];
        List<Disagreement> disagreements = [];
        List<string> leftOut = [];
        Measurer measurer = new(gpu, plan, progress, cancellation);
        try
        {
            Version[] targets = KernelSet.TargetsOf(card);
            foreach (Version target in targets)
            {
                using KernelSet kernels = new(gpu, target);
                Verifier verifier = new(gpu, kernels, plan, progress, cancellation);
                try
                {
                    verifier.Run();
                }
                finally
                {
                    verified.AddRange(verifier.Kernels);
                    disagreements.AddRange(verifier.Disagreements);
                    leftOut.AddRange(verifier.LeftOut);
                }
            }

            // What is wrong has no speed.
            foreach (Version target in disagreements.Count == 0 ? targets.Reverse() : [])
            {
                using KernelSet kernels = new(gpu, target);
                measurer.Run(kernels, isBest: target == targets[^1]);
            }
        }
        catch (KernelFailureException failure)
        {
            disagreements.Add(new Disagreement(failure.Target, failure.Kernel, "the check ended here", failure.Message));
        }

        IReadOnlyList<KernelResult> measured = measurer.Kernels;
        if (measured.Count > 0)
        {
            TorchComparison torch = new(Python, limit: plan.Budget + TorchTime - progress.Elapsed);
            measured = torch.AddTo(measured, card.Ordinal, plan.Int4, gpu.L2Bytes, plan.Rounds);
            progress.Say($"{torch.Problem ?? "PyTorch's products measured"}");
            if (torch.Problem is { } problem)
                leftOut.Add(problem);
        }

        leftOut.AddRange(measurer.LeftOut);
        return new CheckReport(
            disagreements.Count == 0, isQuick, Facts(gpu), started, progress.Elapsed.TotalSeconds, verified, disagreements,
            measurer.Ceiling, measurer.Copies, measured, measurer.Layers, leftOut);
    }

    private static CardFacts Facts(Gpu gpu) => new(
        gpu.Card.Name, gpu.Card.Capability.ToString(), gpu.Card.MemoryBytes, gpu.Multiprocessors, gpu.L2Bytes, gpu.SharedBytes, gpu.Properties.ClockRate / 1000, gpu.Properties.EccEnabled,
        gpu.Properties.DriverVersion.ToString(), RuntimeInformation.OSDescription,
        typeof(CardCheck).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "");

    private static void Write(string directory, CudaCard card, string text, CheckReport report, TextWriter output)
    {
        string file = Path.Combine(directory, $"gpu-{FileName(card.Name)}{(report.Quick ? "-quick" : "")}");
        File.WriteAllText(file + ".md", text);
        File.WriteAllText(file + ".json", JsonSerializer.Serialize(report, CheckReportJson.Default.CheckReport) + "\n");
        output.WriteLine($"\nWritten to {file}.md and {file}.json");
    }

    /// <summary>"nvidia-h100-80gb-hbm3".</summary>
    private static string FileName(string card) =>
        string.Join('-', new string([.. card.ToLowerInvariant().Select(letter => char.IsAsciiLetterOrDigit(letter) ? letter : ' ')]).Split(' ', StringSplitOptions.RemoveEmptyEntries));
}
