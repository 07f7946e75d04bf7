using System.Collections.Immutable;
using System.Globalization;

namespace K2Cluster.Hosting;

/// <summary>Where this process computes experts: "auto", "cpu", or GPUs by their numbers, "cuda:0,1".</summary>
public sealed record DeviceChoice
{
    public const string Allowed = "auto, cpu, or GPUs by number (0 to 63, each once) such as cuda:0 or cuda:0,1";

    /// <summary>Every usable GPU, and the CPU for what does not fit there.</summary>
    public static readonly DeviceChoice Auto = new() { UsesCpu = true, UsesAnyGpu = true };

    public static readonly DeviceChoice Cpu = new() { UsesCpu = true };

    private const int MostGpus = 64;

    private DeviceChoice()
    {
    }

    public bool UsesCpu { get; private init; }

    /// <summary>Whether all GPUs that can be used are; none is no error.</summary>
    public bool UsesAnyGpu { get; private init; }

    /// <summary>The GPUs asked for by number, each once. They must be there.</summary>
    public ImmutableArray<int> Gpus { get; private init; } = [];

    /// <summary>Null when the text says none of that.</summary>
    public static DeviceChoice? TryParse(string text)
    {
        switch (text.ToLowerInvariant())
        {
            case "auto":
                return Auto;
            case "cpu":
                return Cpu;
        }

        if (!text.StartsWith("cuda:", StringComparison.OrdinalIgnoreCase))
            return null;
        List<int> gpus = [];
        foreach (string part in text["cuda:".Length..].Split(','))
        {
            if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int gpu) || gpu >= MostGpus || gpus.Contains(gpu))
                return null;
            gpus.Add(gpu);
        }

        return new DeviceChoice { Gpus = [.. gpus] };
    }

    public bool Equals(DeviceChoice? other) => other is not null && ToString() == other.ToString();

    public override int GetHashCode() => ToString().GetHashCode(StringComparison.Ordinal);

    public override string ToString() => UsesAnyGpu ? "auto" : UsesCpu ? "cpu" : $"cuda:{string.Join(',', Gpus)}";
}
