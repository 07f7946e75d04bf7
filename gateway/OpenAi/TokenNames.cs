using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using K2Cluster.Engine;
using K2Cluster.Text;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>Tokens and their log-probabilities in JSON. Without a tokenizer a token is called by its id, as vLLM does.</summary>
internal sealed class TokenNames(K2Tokenizer? tokenizer)
{
    /// <summary>What stands for a probability of 0, which JSON's numbers cannot say: as OpenAI and vLLM have it.</summary>
    private const float Least = -9999;

    public static float Finite(float logprob) => MathF.Max(logprob, Least);

    /// <summary>The token's text; where its bytes are no whole characters, those, as OpenAI writes them.</summary>
    /// <param name="token">Any id.</param>
    /// <param name="prefix">What marks bytes: different in OpenAI's two APIs.</param>
    public string Name(int token, string prefix)
    {
        if (tokenizer is null)
            return $"token_id:{token}";
        ReadOnlySpan<byte> bytes = tokenizer.Bytes(token);
        if (Utf8.IsValid(bytes))
            return Encoding.UTF8.GetString(bytes);
        StringBuilder name = new(prefix);
        foreach (byte value in bytes)
            name.Append(CultureInfo.InvariantCulture, $"\\x{value:x2}");
        return name.ToString();
    }

    /// <summary>The members token, logprob and bytes of an object that was begun.</summary>
    public void Write(Utf8JsonWriter json, int token, float logprob)
    {
        json.WriteString("token", Name(token, ""));
        json.WriteNumber("logprob", Finite(logprob));
        if (tokenizer is null)
        {
            json.WriteNull("bytes");
            return;
        }

        json.WriteStartArray("bytes");
        foreach (byte value in tokenizer.Bytes(token))
            json.WriteNumberValue(value);
        json.WriteEndArray();
    }

    /// <summary>The likeliest tokens as an array, as chat has them.</summary>
    public void WriteTop(Utf8JsonWriter json, string name, TokenLogprobs logprobs)
    {
        json.WriteStartArray(name);
        foreach ((int token, float logprob) in logprobs.Top)
        {
            json.WriteStartObject();
            Write(json, token, logprob);
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
