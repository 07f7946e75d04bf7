using System.IO.Pipelines;
using System.Net.Security;

namespace K2Cluster.Cluster.Security;

/// <summary>What Orleans reads and writes instead of a connection's own pipes.</summary>
internal sealed class SecurePipes(SslStream stream) : IDuplexPipe
{
    /// <summary>The most that TLS puts into one record.</summary>
    private const int RecordBytes = 16 << 10;

    public PipeReader Input { get; } = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: RecordBytes, leaveOpen: true));

    public PipeWriter Output { get; } = PipeWriter.Create(stream, new StreamPipeWriterOptions(minimumBufferSize: RecordBytes, leaveOpen: true));
}
