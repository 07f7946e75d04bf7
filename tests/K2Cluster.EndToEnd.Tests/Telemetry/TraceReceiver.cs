using System.Collections.Concurrent;
using System.Net;
using System.Text;
using Google.Protobuf;
using K2Cluster.Tests;

namespace K2Cluster.EndToEnd.Tests.Telemetry;

/// <summary>Takes OTLP over HTTP and keeps the spans: the receiving end of the standard OTEL_EXPORTER_OTLP_* variables.</summary>
internal sealed class TraceReceiver : IDisposable
{
    private readonly HttpListener _listener = new();
    private readonly Task _loop;

    public TraceReceiver()
    {
        Address = $"http://127.0.0.1:{FreePort.Next()}";
        _listener.Prefixes.Add(Address + "/");
        _listener.Start();
        _loop = ReceiveAsync();
    }

    public string Address { get; }

    public ConcurrentBag<Span> Spans { get; } = [];

    public IReadOnlyDictionary<string, string> Environment => new Dictionary<string, string>
    {
        ["OTEL_EXPORTER_OTLP_ENDPOINT"] = Address,
        ["OTEL_EXPORTER_OTLP_PROTOCOL"] = "http/protobuf",
        ["OTEL_BSP_SCHEDULE_DELAY"] = "200",
    };

    public void Dispose()
    {
        _listener.Stop();
        ((IDisposable)_listener).Dispose();
        _ = _loop;
    }

    private async Task ReceiveAsync()
    {
        while (_listener.IsListening)
        {
            HttpListenerContext context;
            try
            {
                context = await _listener.GetContextAsync();
            }
            catch (Exception e) when (e is HttpListenerException or ObjectDisposedException)
            {
                return;
            }

            using MemoryStream body = new();
            await context.Request.InputStream.CopyToAsync(body);
            if (context.Request.Url!.AbsolutePath == "/v1/traces")
                ReadRequest(body.ToArray());
            context.Response.StatusCode = 200;
            context.Response.Close();
        }
    }

    // opentelemetry/proto/collector/trace/v1: ExportTraceServiceRequest.resource_spans = 1, ResourceSpans.resource = 1 and
    // .scope_spans = 2, ScopeSpans.spans = 2, Span.trace_id = 1, .span_id = 2, .parent_span_id = 4, .name = 5.
    private void ReadRequest(byte[] request)
    {
        foreach ((_, ByteString resourceSpans) in Fields(request).Where(field => field.Number == 1))
        {
            string resource = string.Concat(Fields(resourceSpans).Where(field => field.Number == 1).Select(field => field.Value.ToString(Encoding.Latin1)));
            foreach ((_, ByteString scopeSpans) in Fields(resourceSpans).Where(field => field.Number == 2))
            {
                foreach ((_, ByteString span) in Fields(scopeSpans).Where(field => field.Number == 2))
                {
                    ILookup<int, ByteString> fields = Fields(span).ToLookup(field => field.Number, field => field.Value);
                    Spans.Add(new Span(resource, Hex(fields[1]), Hex(fields[2]), Hex(fields[4]), fields[5].First().ToStringUtf8()));
                }
            }
        }
    }

    private static string Hex(IEnumerable<ByteString> value) => Convert.ToHexStringLower(value.FirstOrDefault(ByteString.Empty).Span);

    private static List<(int Number, ByteString Value)> Fields(ByteString message) => Fields(message.ToByteArray());

    private static List<(int Number, ByteString Value)> Fields(byte[] message)
    {
        List<(int, ByteString)> fields = [];
        CodedInputStream input = new(message);
        while (input.ReadTag() is var tag && tag != 0)
        {
            if (WireFormat.GetTagWireType(tag) == WireFormat.WireType.LengthDelimited)
                fields.Add((WireFormat.GetTagFieldNumber(tag), input.ReadBytes()));
            else
                input.SkipLastField();
        }

        return fields;
    }

    /// <param name="Resource">The raw resource of the exporting process; holds service.name.</param>
    /// <param name="TraceId">Hexadecimal.</param>
    /// <param name="SpanId">Hexadecimal.</param>
    /// <param name="ParentId">Hexadecimal; empty for a root.</param>
    /// <param name="Name">The activity's name.</param>
    internal sealed record Span(string Resource, string TraceId, string SpanId, string ParentId, string Name);
}
