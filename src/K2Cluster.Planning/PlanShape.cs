namespace K2Cluster.Planning;

/// <summary>The routed experts of a model. An expert's index counts layer by layer.</summary>
/// <param name="Layers">Layers with experts.</param>
/// <param name="Experts">Experts of each.</param>
/// <param name="FirstLayer">The number that people know the first of these layers by.</param>
public readonly record struct PlanShape(int Layers, int Experts, int FirstLayer = 0)
{
    public int Count => Layers * Experts;

    /// <summary>"layer 3 expert 17".</summary>
    public string NameOf(int expert) => $"layer {FirstLayer + (expert / Experts)} expert {expert % Experts}";
}
