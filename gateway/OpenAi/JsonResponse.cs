using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>Writes one JSON document as a response.</summary>
internal static class JsonResponse
{
    /// <summary>Letters of any language go out as they are, and nothing is escaped for HTML's sake.</summary>
    public static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task WriteAsync(HttpResponse response, Action<Utf8JsonWriter> write)
    {
        ArrayBufferWriter<byte> buffer = new();
        using (Utf8JsonWriter json = new(buffer, Options))
            write(json);
        response.ContentType = "application/json";
        response.ContentLength = buffer.WrittenCount;
        await response.BodyWriter.WriteAsync(buffer.WrittenMemory, response.HttpContext.RequestAborted);
    }
}
