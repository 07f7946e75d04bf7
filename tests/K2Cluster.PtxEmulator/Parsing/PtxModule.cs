namespace K2Cluster.PtxEmulator.Parsing;

/// <summary>A PTX file: its entries and its variables.</summary>
public sealed class PtxModule
{
    private readonly Dictionary<string, PtxKernel> _kernels = new(StringComparer.Ordinal);

    internal PtxModule(string source) => Source = source;

    /// <summary>Where the text came from, for messages.</summary>
    public string Source { get; }

    /// <summary>As in "7.8".</summary>
    public string Version { get; internal set; } = "";

    /// <summary>As in "sm_80".</summary>
    public string Target { get; internal set; } = "";

    public IReadOnlyCollection<PtxKernel> Kernels => _kernels.Values;

    internal List<PtxVariable> Variables { get; } = [];

    /// <summary>Reads a module.</summary>
    /// <param name="text">PTX 6.0 to 8.x.</param>
    /// <param name="source">A name for messages.</param>
    /// <exception cref="PtxSyntaxException">The text is not PTX, or uses what is not supported.</exception>
    public static PtxModule Parse(string text, string source = "module.ptx") => new PtxParser(text, source).Parse();

    /// <exception cref="ArgumentException">No such entry.</exception>
    public PtxKernel Kernel(string name) =>
        _kernels.TryGetValue(name, out PtxKernel? kernel)
            ? kernel
            : throw new ArgumentException($"{Source} has no entry {name}; it has {string.Join(", ", _kernels.Keys)}.", nameof(name));

    public bool TryKernel(string name, out PtxKernel? kernel) => _kernels.TryGetValue(name, out kernel);

    internal bool Add(PtxKernel kernel) => _kernels.TryAdd(kernel.Name, kernel);
}
