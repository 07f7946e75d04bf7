using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Authentication;
using Microsoft.AspNetCore.Connections;

namespace K2Cluster.Cluster.Security;

/// <summary>
/// TLS under Orleans' own connections, between its socket and its messages; Orleans' package for it is not to be had
/// everywhere. Both ends show a certificate (<see cref="ClusterCertificates"/>) before a byte of a message is read.
/// </summary>
internal sealed class TlsMiddleware(ClusterCertificates certificates, RefusalLog refusals, TimeProvider time)
{
    /// <summary>Who has not shown itself by then is let go.</summary>
    internal static readonly TimeSpan HandshakeLimit = TimeSpan.FromSeconds(10);

    /// <summary>Strangers may open connections and say nothing: that many at a time.</summary>
    internal const int MostHandshakes = 256;

    private int _handshakes;

    /// <summary>For connections that this member accepts.</summary>
    public ConnectionDelegate Inbound(ConnectionDelegate next) => async connection =>
    {
        if (Interlocked.Increment(ref _handshakes) > MostHandshakes)
        {
            Interlocked.Decrement(ref _handshakes);
            refusals.Add(connection.RemoteEndPoint, inbound: true, $"{MostHandshakes} others are in their handshake");
            return;
        }

        IDuplexPipe plain = connection.Transport;
        await using SslStream stream = new(new PipeStream(plain));
        try
        {
            await HandshakeAsync(connection, limit => stream.AuthenticateAsServerAsync(certificates.ServerOptions(), limit)).ConfigureAwait(false);
        }
        catch (AuthenticationException exception)
        {
            refusals.Add(connection.RemoteEndPoint, inbound: true, exception.Message);
            return;
        }
        finally
        {
            Interlocked.Decrement(ref _handshakes);
        }

        await RunAsync(connection, plain, stream, next).ConfigureAwait(false);
    };

    /// <summary>For connections that this member makes.</summary>
    public ConnectionDelegate Outbound(ConnectionDelegate next) => async connection =>
    {
        IDuplexPipe plain = connection.Transport;
        await using SslStream stream = new(new PipeStream(plain));
        try
        {
            await HandshakeAsync(connection, limit => stream.AuthenticateAsClientAsync(certificates.ClientOptions(), limit)).ConfigureAwait(false);
        }
        catch (AuthenticationException exception)
        {
            // Orleans should hear of it: who waits for the connection is told then.
            refusals.Add(connection.RemoteEndPoint, inbound: false, exception.Message);
            throw;
        }

        await RunAsync(connection, plain, stream, next).ConfigureAwait(false);
    };

    /// <exception cref="AuthenticationException">The peer is none of ours, too slow, or gone; the message says which.</exception>
    private async Task HandshakeAsync(ConnectionContext connection, Func<CancellationToken, Task> handshake)
    {
        using CancellationTokenSource limit = new(HandshakeLimit, time);
        using CancellationTokenSource ending = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, connection.ConnectionClosed);
        try
        {
            await handshake(ending.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException exception)
        {
            throw new AuthenticationException(limit.IsCancellationRequested ? $"it did not finish TLS' handshake within {HandshakeLimit.TotalSeconds:0} s" : "it left during TLS' handshake", exception);
        }
        catch (Exception exception) when (exception is not PeerRefusedException)
        {
            throw new AuthenticationException($"it does not speak TLS as this member does, or refuses this member's certificate ({exception.GetBaseException().Message.ReplaceLineEndings(" ")})", exception);
        }
    }

    private static async Task RunAsync(ConnectionContext connection, IDuplexPipe plain, SslStream stream, ConnectionDelegate next)
    {
        SecurePipes pipes = new(stream);
        connection.Transport = pipes;
        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            connection.Transport = plain; // its owner closes that one
            await pipes.Input.CompleteAsync().ConfigureAwait(false);
            try
            {
                await pipes.Output.CompleteAsync().ConfigureAwait(false);
            }
            catch (Exception exception) when (exception is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
            {
                // It writes what is left, and the peer may be gone.
            }
        }
    }
}
