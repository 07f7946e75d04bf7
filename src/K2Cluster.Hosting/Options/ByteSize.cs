using System.Globalization;

namespace K2Cluster.Hosting;

/// <summary>Sizes as operators write them: "20GiB", "512 MiB", "1.5TB".</summary>
internal static class ByteSize
{
    public const string Allowed = "a number above 0 with B, KiB, MiB, GiB, TiB (powers of 1024) or KB, MB, GB, TB (powers of 1000), such as 20GiB";

    private static readonly (string Unit, long Bytes)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("B", 1), // last: every other unit ends with it
    ];

    public static bool TryParse(string text, out long bytes)
    {
        ReadOnlySpan<char> number = text.AsSpan().Trim();
        long unit = 0; // a number alone is refused: who writes --memory 20 does not mean bytes
        foreach ((string name, long size) in Units)
        {
            if (number.EndsWith(name, StringComparison.OrdinalIgnoreCase))
            {
                number = number[..^name.Length].TrimEnd();
                unit = size;
                break;
            }
        }

        bytes = 0;
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value) || unit == 0 || value > long.MaxValue / unit)
            return false;
        bytes = (long)(value * unit);
        return bytes > 0;
    }

    public static string Format(long bytes)
    {
        for (int i = 3; i >= 0; i--)
        {
            if (bytes >= Units[i].Bytes)
                return string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / Units[i].Bytes:0.#}{Units[i].Unit}");
        }

        return $"{bytes}B";
    }
}
