using System.IO.Pipelines;
using System.Net;
using K2Cluster.Cluster.Security;
using K2Cluster.Tests;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace K2Cluster.Cluster.Tests.Security;

public sealed class TlsMiddlewareTests : IDisposable
{
    private readonly FakeTimeProvider _time = new();
    private readonly TestAuthority _authority = new();
    private readonly LogLines _log = new();
    private readonly LoggerFactory _logs;
    private readonly TlsMiddleware _middleware;

    public TlsMiddlewareTests()
    {
        _logs = new LoggerFactory([_log]);
        _middleware = new TlsMiddleware(ClusterCertificatesTests.Load(_authority), new RefusalLog(_time, _logs.CreateLogger<RefusalLog>()), _time);
    }

    public void Dispose()
    {
        _logs.Dispose();
        _authority.Dispose();
    }

    [Fact]
    public async Task Peers_that_say_nothing_are_let_go_and_only_so_many_may_come_at_a_time()
    {
        Task[] silent = [.. Enumerable.Range(0, TlsMiddleware.MostHandshakes).Select(_ => AcceptAsync())];

        await AcceptAsync().WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Contains("others are in their handshake", Assert.Single(_log.Lines));
        Assert.All(silent, one => Assert.False(one.IsCompleted));

        _time.Advance(TlsMiddleware.HandshakeLimit);
        await Task.WhenAll(silent).WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(2, _log.Lines.Count); // one line for all that were alike
        Assert.Contains("did not finish TLS' handshake within 10 s", _log.Lines.Last());

        Task next = AcceptAsync();
        Assert.False(next.IsCompleted);
        _time.Advance(TlsMiddleware.HandshakeLimit);
        await next.WaitAsync(TimeSpan.FromSeconds(20));
        _time.Advance(TimeSpan.FromSeconds(30));
        Task last = AcceptAsync();
        _time.Advance(TlsMiddleware.HandshakeLimit);
        await last.WaitAsync(TimeSpan.FromSeconds(20));
        Assert.Equal(3, _log.Lines.Count);
    }

    private async Task AcceptAsync()
    {
        await using DefaultConnectionContext connection = new("one", new Silence(), new Silence()) { RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, 1) };
        await _middleware.Inbound(_ => throw new InvalidOperationException("It was let in."))(connection);
    }

    private sealed class Silence : IDuplexPipe
    {
        public PipeReader Input { get; } = new Pipe().Reader;

        public PipeWriter Output { get; } = new Pipe().Writer;
    }
}
