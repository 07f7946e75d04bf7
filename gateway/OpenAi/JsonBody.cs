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
    private BodyIntake.Share? _share;
    private IDisposable? _turn;

    private JsonBody(JsonDocument document) => _document = document;

    public JsonFields Fields => new(_document.RootElement, "");

    /// <exception cref="RequestException">The body is not such JSON.</exception>
    /// <exception cref="BadHttpRequestException">It has another media type, is too large, or ended early.</exception>
    public static async Task<JsonBody> ReadAsync(HttpRequest request)
    {
        CheckMediaType(request);
        if (request.ContentLength > MaxBytes)
            throw TooLarge();
        CancellationToken left = request.HttpContext.RequestAborted;
        BodyIntake intake = request.HttpContext.RequestServices.GetRequiredService<BodyIntake>();
        BodyIntake.Share share = intake.Begin();
        IDisposable? turn = null;
        try
        {
            ReadOnlyMemory<byte> body = await CollectAsync(request, share, left);
            turn = await intake.EnterAsync(body.Length, left);
            JsonBody parsed = Parse(body);
            (parsed._share, parsed._turn) = (share, turn);
            return parsed;
        }
        catch
        {
            turn?.Dispose();
            share.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        _document.Dispose();
        _turn?.Dispose();
        _share?.Dispose();
    }

    internal static JsonBody Parse(ReadOnlyMemory<byte> body)
    {
        if (!Utf8.IsValid(body.Span))
            throw new RequestException(RequestFault.Invalid, "The body is not valid UTF-8.", code: "invalid_json");
        JsonDocument document;
        try
        {
            CheckStrings(body.Span);
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

    /// <summary>The whole body in one piece. The pipe is emptied as it fills, so that it does not hold all of it a second time.</summary>
    private static async Task<ReadOnlyMemory<byte>> CollectAsync(HttpRequest request, BodyIntake.Share share, CancellationToken left)
    {
        byte[] body = [];
        int length = 0;
        while (true)
        {
            ReadResult read = await request.BodyReader.ReadAsync(left);
            long needed = length + read.Buffer.Length;
            if (needed > MaxBytes)
                throw TooLarge();
            if (needed > body.Length)
            {
                // Grows with what came, not with what was announced.
                long doubled = Math.Min(2L * body.Length, request.ContentLength ?? MaxBytes);
                int capacity = (int)Math.Max(needed, doubled);
                share.Hold(capacity);
                Array.Resize(ref body, capacity);
            }

            read.Buffer.CopyTo(body.AsSpan(length));
            length = (int)needed;
            request.BodyReader.AdvanceTo(read.Buffer.End);
            if (read.IsCompleted)
                return body.AsMemory(0, length);
        }
    }

    /// <summary>Finds escapes that stand for half a surrogate pair: JSON allows them, no text can hold them.</summary>
    private static void CheckStrings(ReadOnlySpan<byte> body)
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
