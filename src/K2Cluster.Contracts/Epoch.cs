namespace K2Cluster.Contracts;

/// <summary>
/// The age of a placement plan. Generation comes from the clock when a placement grain starts, so that an epoch only
/// grows even when every store is lost; Counter counts plans within it.
/// </summary>
[GenerateSerializer, Immutable, Alias("k2.Epoch")]
public readonly record struct Epoch([property: Id(0)] long Generation, [property: Id(1)] long Counter) : IComparable<Epoch>
{
    public static Epoch None => default;

    public int CompareTo(Epoch other)
    {
        int byGeneration = Generation.CompareTo(other.Generation);
        return byGeneration != 0 ? byGeneration : Counter.CompareTo(other.Counter);
    }

    public static bool operator <(Epoch left, Epoch right) => left.CompareTo(right) < 0;

    public static bool operator >(Epoch left, Epoch right) => left.CompareTo(right) > 0;

    public static bool operator <=(Epoch left, Epoch right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Epoch left, Epoch right) => left.CompareTo(right) >= 0;

    public override string ToString() => $"{Generation}.{Counter}";
}
