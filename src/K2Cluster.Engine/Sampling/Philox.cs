namespace K2Cluster.Engine.Sampling;

/// <summary>
/// Philox4x32-10, a counter-based generator: each output is a pure function of key and counter, so a draw does not depend on
/// how many were made before it or by whom. Source: Salmon, Moraes, Dror, Shaw, "Parallel Random Numbers: As Easy as 1, 2, 3",
/// SC 2011; constants and test vectors as in its library, Random123.
/// </summary>
internal static class Philox
{
    private const uint Multiplier0 = 0xD2511F53;
    private const uint Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9;
    private const uint Weyl1 = 0xBB67AE85;
    private const int Rounds = 10;

    /// <summary>
    /// A number in [0, 1), a multiple of 2^-53. Key: the seed, low word first. Counter: position (two words, low first),
    /// choice, 0. The top 53 bits of the first two words of the output, the first being the high one.
    /// </summary>
    public static double Uniform(ulong seed, int choice, long position)
    {
        Block block = Generate(new Block((uint)position, (uint)((ulong)position >> 32), (uint)choice, 0), (uint)seed, (uint)(seed >> 32));
        ulong bits = ((ulong)block.X0 << 32) | block.X1;
        return (bits >> 11) * (1.0 / (1UL << 53));
    }

    public static Block Generate(Block counter, uint key0, uint key1)
    {
        (uint x0, uint x1, uint x2, uint x3) = counter;
        for (int round = 0; round < Rounds; round++)
        {
            ulong product0 = (ulong)Multiplier0 * x0;
            ulong product1 = (ulong)Multiplier1 * x2;
            (x0, x1, x2, x3) = ((uint)(product1 >> 32) ^ x1 ^ key0, (uint)product1, (uint)(product0 >> 32) ^ x3 ^ key1, (uint)product0);
            key0 += Weyl0;
            key1 += Weyl1;
        }

        return new Block(x0, x1, x2, x3);
    }

    internal readonly record struct Block(uint X0, uint X1, uint X2, uint X3);
}
