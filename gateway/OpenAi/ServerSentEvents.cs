using System.Buffers;
using System.Text.Json;

namespace K2Cluster.Gateway.OpenAi;

/// <summary>A stream of JSON documents as server-sent events, ended by [DONE].</summary>
internal sealed class ServerSentEvents(HttpResponse response) : IDisposable
{
    private readonly ArrayBufferWriter<byte> _buffer = new();
    private readonly Utf8JsonWriter _json = new(Stream.Null, JsonResponse.Options);

    public void Start()
    {
        response.ContentType = "text/event-stream; charset=utf-8";
        response.Headers.CacheControl = "no-cache";
        // Proxies that buffer hold a stream back.
        response.Headers["X-Accel-Buffering"] = "no";
    }

    /// <summary>Adds an event; it is sent with the next <see cref="SendAsync"/>.</summary>
    public void Add(Action<Utf8JsonWriter> write)
    {
        _buffer.Write("data: "u8);
        _json.Reset(_buffer);
        write(_json);
        _json.Flush();
        _buffer.Write("\n\n"u8);
    }

    public void AddDone() => _buffer.Write("data: [DONE]\n\n"u8);

    /// <summary>Sends what was added; waits while the client reads too slowly, until the server drops it.</summary>
    public async ValueTask SendAsync(CancellationToken cancellationToken)
    {
        if (_buffer.WrittenCount == 0)
            return;
        await response.BodyWriter.WriteAsync(_buffer.WrittenMemory, cancellationToken);
        _buffer.ResetWrittenCount();
    }

    public void Dispose() => _json.Dispose();
}
