using System.Text.Json;
using K2Cluster.Gateway.Serving;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>Token ids in JSON. Whether the vocabulary has them is admission's to say.</summary>
internal static class TokenIds
{
    public static int[] Read(JsonElement array, string path)
    {
        if (array.ValueKind != JsonValueKind.Array)
            throw JsonFields.Mismatch(path, "an array of token ids", array);
        int[] ids = new int[array.GetArrayLength()];
        int i = 0;
        foreach (JsonElement item in array.EnumerateArray())
        {
            // The common case first: a path for each of 100,000 ids is not made for nothing.
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt32(out ids[i]))
                ids[i] = ReadLarge(item, $"{path}[{i}]");
            i++;
        }

        return ids;
    }

    private static int ReadLarge(JsonElement item, string path)
    {
        long id = JsonFields.IntegerOf(item, path);
        return id is >= 0 and <= int.MaxValue ? (int)id : throw RequestException.Invalid(path, $"'{path}' is {id}, which is no token id.");
    }
}
