namespace K2Cluster.Text.Tokenization;

/// <summary>
/// The Unicode script Han, which .NET does not know: Scripts.txt of Unicode 16.0, pinned because ids must not change with the
/// runtime. (17.0 adds U+16FF2-16FF6, 2B73A-2B73F, 2B81E, 2CEA2-2CEAD and 323B0-33479: unassigned here, and in the
/// tokenizers that K2's vocabulary was made with.)
/// </summary>
internal static class HanScript
{
    private static readonly (int First, int Last)[] Ranges =
    [
        (0x2E80, 0x2E99), (0x2E9B, 0x2EF3), (0x2F00, 0x2FD5), (0x3005, 0x3005), (0x3007, 0x3007), (0x3021, 0x3029),
        (0x3038, 0x303B), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFA6D), (0xFA70, 0xFAD9), (0x16FE2, 0x16FE3),
        (0x16FF0, 0x16FF1), (0x20000, 0x2A6DF), (0x2A700, 0x2B739), (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1),
        (0x2CEB0, 0x2EBE0), (0x2EBF0, 0x2EE5D), (0x2F800, 0x2FA1D), (0x30000, 0x3134A), (0x31350, 0x323AF),
    ];

    public static bool Contains(int codePoint)
    {
        foreach ((int first, int last) in Ranges)
        {
            if (codePoint <= last)
                return codePoint >= first;
        }

        return false;
    }
}
