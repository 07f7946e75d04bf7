using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using K2Cluster.GpuCheck.Reports;

namespace K2Cluster.GpuCheck.Measures;

/// <summary>What this machine's PyTorch takes for BF16 matrix products of the shapes that were measured, where it has one.</summary>
/// <param name="python">The interpreter.</param>
/// <param name="limit">It is ended after so long, a second at least; what it has said until then counts.</param>
internal sealed class TorchComparison(string python, TimeSpan limit)
{
    private const string Script = "K2Cluster.GpuCheck.torch_products.py";

    private readonly TimeSpan _limit = limit > TimeSpan.FromSeconds(1) ? limit : TimeSpan.FromSeconds(1);

    /// <summary>Why there is no comparison; null when there is one.</summary>
    public string? Problem { get; private set; }

    /// <summary>The results, those of the two products with PyTorch's time beside them.</summary>
    /// <param name="kernels">Of experts of one size.</param>
    /// <param name="device">Ordinal of the card.</param>
    /// <param name="sizes">Of the experts.</param>
    /// <param name="l2Bytes">That the weights go round, four times.</param>
    /// <param name="rounds">How often each product is timed.</param>
    public IReadOnlyList<KernelResult> AddTo(IReadOnlyList<KernelResult> kernels, int device, ExpertSizes sizes, long l2Bytes, int rounds)
    {
        string shapes = string.Concat(kernels.Where(IsProduct).Select(kernel => (kernel.Experts, kernel.Rows)).Distinct().Select(shape => Text($"{shape.Experts} {shape.Rows}\n")));
        Dictionary<(int Experts, int Rows), (double GateUp, double Down)> times = [];
        string[] arguments = ["-c", Source(), Text($"{device}"), Text($"{sizes.Hidden}"), Text($"{sizes.Intermediate}"), Text($"{l2Bytes}"), Text($"{rounds}")];
        foreach (string line in Run(arguments, shapes))
        {
            string[] words = line.Split(' ');
            if (words is ["no", ..])
                Problem = $"no comparison with PyTorch: {line[2..].Trim()}";
            else if (words.Length == 4 && Number(words[0]) is { } experts && Number(words[1]) is { } rows && Number(words[2]) is { } gateUp && Number(words[3]) is { } down)
                times[((int)experts, (int)rows)] = (gateUp, down);
        }

        if (times.Count == 0)
            Problem ??= $"no comparison with PyTorch: {python} told no times";
        return
        [
            .. kernels.Select(kernel => IsProduct(kernel) && times.TryGetValue((kernel.Experts, kernel.Rows), out (double GateUp, double Down) torch)
                ? kernel with { TorchMicroseconds = kernel.Kernel.Contains("down", StringComparison.Ordinal) ? torch.Down : torch.GateUp }
                : kernel),
        ];
    }

    private static bool IsProduct(KernelResult kernel) => kernel.Kernel.StartsWith("k2_gate_up", StringComparison.Ordinal) || kernel.Kernel.StartsWith("k2_down", StringComparison.Ordinal);

    private List<string> Run(string[] arguments, string input)
    {
        List<string> lines = [];
        try
        {
            using Process process = Process.Start(new ProcessStartInfo(python, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true })!;
            process.OutputDataReceived += (_, said) => Keep(said.Data);
            process.ErrorDataReceived += (_, _) => { };
            process.BeginOutputReadLine();
            process.BeginErrorReadLine();
            try
            {
                process.StandardInput.Write(input);
                process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It ended before it read the shapes, and has said why.
            }

            if (process.WaitForExit(_limit))
            {
                process.WaitForExit(); // for the rest of its output
            }
            else
            {
                process.Kill(entireProcessTree: true);
                Problem = Text($"PyTorch was ended after {_limit.TotalSeconds:0} s: shapes without its time are left out");
            }
        }
        catch (Win32Exception exception)
        {
            Problem = $"no comparison with PyTorch: {exception.Message}";
        }

        lock (lines)
            return [.. lines];

        void Keep(string? line)
        {
            lock (lines)
            {
                if (line is not null)
                    lines.Add(line);
            }
        }
    }

    private static string Source()
    {
        using Stream stream = typeof(TorchComparison).Assembly.GetManifestResourceStream(Script)!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }

    private static double? Number(string word) => double.TryParse(word, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && value > 0 && double.IsFinite(value) ? value : null;

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
