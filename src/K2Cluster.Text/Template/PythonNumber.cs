using System.Globalization;
using System.Text;

namespace K2Cluster.Text.Template;

/// <summary>Numbers as Python's json reads and writes them: whole ones as they stand, others as repr(float).</summary>
internal static class PythonNumber
{
    /// <param name="raw">A valid JSON number.</param>
    public static string Format(ReadOnlySpan<byte> raw)
    {
        if (raw.IndexOfAny((byte)'.', (byte)'e', (byte)'E') < 0)
            return raw.SequenceEqual("-0"u8) ? "0" : Encoding.ASCII.GetString(raw);

        // A value past the largest double parses as infinity, there as here.
        double value = double.Parse(raw, NumberStyles.Float, CultureInfo.InvariantCulture);
        return double.IsInfinity(value) ? value > 0 ? "Infinity" : "-Infinity" : Repr(value);
    }

    // The shortest digits that read back as the same double; plain from 1e-4 up to 1e16, else with an exponent of two digits or more.
    private static string Repr(double value)
    {
        string shortest = value.ToString("R");
        string sign = shortest.StartsWith('-') ? "-" : "";
        (string digits, int point) = Decompose(shortest[sign.Length..]);

        if (point is > -4 and <= 16)
        {
            if (point <= 0)
                return $"{sign}0.{new string('0', -point)}{digits}";
            if (digits.Length <= point)
                return $"{sign}{digits.PadRight(point, '0')}.0";
            return $"{sign}{digits[..point]}.{digits[point..]}";
        }

        int exponent = point - 1;
        string fraction = digits.Length > 1 ? $".{digits[1..]}" : "";
        return $"{sign}{digits[0]}{fraction}e{(exponent < 0 ? '-' : '+')}{Math.Abs(exponent):00}";
    }

    // Digits d and point p such that the value is 0.d × 10^p.
    private static (string Digits, int Point) Decompose(string text)
    {
        int exponentAt = text.IndexOf('E');
        int exponent = exponentAt < 0 ? 0 : int.Parse(text[(exponentAt + 1)..]);
        string mantissa = exponentAt < 0 ? text : text[..exponentAt];
        int dot = mantissa.IndexOf('.');
        int point = (dot < 0 ? mantissa.Length : dot) + exponent;
        string digits = mantissa.Replace(".", "");
        string significant = digits.TrimStart('0');
        if (significant.Length == 0)
            return ("0", 1);

        return (significant.TrimEnd('0'), point - (digits.Length - significant.Length));
    }
}
