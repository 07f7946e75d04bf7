using System.Globalization;
using System.Text;

namespace K2Cluster.Text.Template;

/// <summary>JSON strings: reading the raw text between the quotes, writing as Python does with ensure_ascii=False.</summary>
internal static class JsonString
{
    /// <summary>What a valid JSON string says; malformed UTF-8 becomes U+FFFD, an escaped half of a surrogate pair stays one.</summary>
    public static string Unescape(ReadOnlySpan<byte> raw)
    {
        string text = Encoding.UTF8.GetString(raw);
        int escape = text.IndexOf('\\');
        if (escape < 0)
            return text;

        StringBuilder plain = new(text.Length);
        ReadOnlySpan<char> rest = text;
        for (; escape >= 0; escape = rest.IndexOf('\\'))
        {
            plain.Append(rest[..escape]);
            char kind = rest[escape + 1];
            plain.Append(kind switch
            {
                'b' => '\b',
                'f' => '\f',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => (char)ushort.Parse(rest.Slice(escape + 2, 4), NumberStyles.AllowHexSpecifier),
                _ => kind,
            });
            rest = rest[(escape + (kind == 'u' ? 6 : 2))..];
        }

        return plain.Append(rest).ToString();
    }

    public static void WriteQuoted(ReadOnlySpan<char> text, StringBuilder output)
    {
        output.Append('"');
        for (int special; (special = IndexOfEscaped(text)) >= 0; text = text[(special + 1)..])
        {
            output.Append(text[..special]);
            char value = text[special];
            output.Append(value switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\b' => "\\b",
                '\f' => "\\f",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                _ => $"\\u{(int)value:x4}",
            });
        }

        output.Append(text).Append('"');
    }

    private static int IndexOfEscaped(ReadOnlySpan<char> text)
    {
        for (int index = 0; index < text.Length; index++)
        {
            if (text[index] is < ' ' or '"' or '\\')
                return index;
        }

        return -1;
    }
}
