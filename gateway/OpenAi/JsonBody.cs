using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Unicode;
using K2Cluster.Gateway.Serving;
using Microsoft.Net.Http.Headers;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>
/// The body of a request: one JSON object, of bounded size and depth, whose every string is well-formed Unicode and whose
/// every object has each name once. What is read from it later can be of the wrong type, but never throws for its encoding.
/// </summary>
internal sealed class JsonBody : IDisposable
{
    /// <summary>Above any prompt that fits a context of 262,144 tokens.</summary>
    public const int MaxBytes = 32 << 20;

    /// <summary>Deeper than any tool's schema in use.</summary>
    private const int MaxDepth = 64;

    private readonly JsonDocument _document;

    private JsonBody(JsonDocument document) => _document = document;

    public JsonFields Fields => new(_document.RootElement, "");

    /// <exception cref="RequestException">The body is not such JSON.</exception>
    /// <exception cref="BadHttpRequestException">It has another media type, is too large, or ended early.</exception>
    public static async Task<JsonBody> ReadAsync(HttpRequest request)
    {
        CheckMediaType(request);
        if (request.ContentLength > MaxBytes)
            throw TooLarge();
        while (true)
        {
            ReadResult read = await request.BodyReader.ReadAsync(request.HttpContext.RequestAborted);
            if (read.Buffer.Length > MaxBytes)
                throw TooLarge();
            if (read.IsCompleted)
            {
                byte[] body = read.Buffer.ToArray();
                request.BodyReader.AdvanceTo(read.Buffer.End);
                return Parse(body);
            }

            // All of it was looked at, none is used up: the pipe collects until the end.
            request.BodyReader.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }
    }

    public void Dispose() => _document.Dispose();

    internal static JsonBody Parse(byte[] body)
    {
        if (!Utf8.IsValid(body))
            throw new RequestException(RequestFault.Invalid, "The body is not valid UTF-8.", code: "invalid_json");
        JsonDocument document;
        try
        {
            CheckStrings(body);
            document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = MaxDepth, AllowDuplicateProperties = false });
        }
        catch (JsonException error)
        {
            throw new RequestException(RequestFault.Invalid, $"The body is not JSON that is taken here: {error.Message}", code: "invalid_json");
        }

        if (document.RootElement.ValueKind == JsonValueKind.Object)
            return new JsonBody(document);
        document.Dispose();
        throw new RequestException(RequestFault.Invalid, "The body must be a JSON object.", code: "invalid_json");
    }

    /// <summary>Finds escapes that stand for half a surrogate pair: JSON allows them, no text can hold them.</summary>
    private static void CheckStrings(byte[] body)
    {
        Utf8JsonReader reader = new(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        while (reader.Read())
        {
            if (!reader.ValueIsEscaped)
                continue;
            char[] buffer = ArrayPool<char>.Shared.Rent(reader.ValueSpan.Length);
            try
            {
                reader.CopyString(buffer);
            }
            catch (InvalidOperationException)
            {
                throw new RequestException(RequestFault.Invalid, $"The string at byte {reader.TokenStartIndex} of the body has an unpaired surrogate escape (\\ud800 to \\udfff), which stands for no character.", code: "invalid_json");
            }
            finally
            {
                ArrayPool<char>.Shared.Return(buffer);
            }
        }
    }

    private static void CheckMediaType(HttpRequest request)
    {
        bool json = MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? type)
            && (type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase) || type.Suffix.Equals("json", StringComparison.OrdinalIgnoreCase));
        if (!json || (type!.Charset.HasValue && !type.Charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase)))
            throw new BadHttpRequestException("The body must be JSON in UTF-8: send it with Content-Type: application/json.", StatusCodes.Status415UnsupportedMediaType);
        if (request.Headers.ContentEncoding.Count > 0)
            throw new BadHttpRequestException("A compressed body is not taken; send it without Content-Encoding.", StatusCodes.Status415UnsupportedMediaType);
    }

    private static BadHttpRequestException TooLarge() => new($"The body is larger than {MaxBytes} bytes, the most that is taken.", StatusCodes.Status413PayloadTooLarge);
}
