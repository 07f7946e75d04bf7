namespace K2Cluster.Contracts;

/// <summary>The routed experts of a model: which layers have them and how many each.</summary>
/// <param name="FirstLayer">The first MoE layer.</param>
/// <param name="Layers">Number of MoE layers from there.</param>
/// <param name="Experts">Routed experts a layer.</param>
[GenerateSerializer, Immutable, Alias("k2.ExpertGrid")]
public readonly record struct ExpertGrid([property: Id(0)] int FirstLayer, [property: Id(1)] int Layers, [property: Id(2)] int Experts)
{
    public int Count => Layers * Experts;

    public bool Contains(int layer, int expert) => (uint)(layer - FirstLayer) < (uint)Layers && (uint)expert < (uint)Experts;

    public int Index(int layer, int expert) => ((layer - FirstLayer) * Experts) + expert;

    public (int Layer, int Expert) At(int index) => (FirstLayer + (index / Experts), index % Experts);
}
