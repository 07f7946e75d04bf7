using System.Net;
using System.Net.Sockets;
using System.Text;
using K2Cluster.Fabric.Frames;
using K2Cluster.Fabric.Handshake;

namespace K2Cluster.Fabric.Tests;

/// <summary>A peer that may say anything.</summary>
internal sealed class RawPeer : IDisposable
{
    private readonly FabricSocket _socket;
    private readonly FrameReader _reader;

    public RawPeer(Socket socket)
    {
        _socket = new FabricSocket(socket);
        _reader = new FrameReader(_socket, new FabricCounts()) { MaxPayload = 1 << 20 };
    }

    public static RawPeer Connect(IPEndPoint endPoint)
    {
        Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Connect(endPoint);
        return new RawPeer(socket);
    }

    /// <summary>Connects and greets.</summary>
    public static RawPeer Greeted(IPEndPoint endPoint)
    {
        RawPeer peer = Connect(endPoint);
        peer.Write(Frame(FrameType.Hello, 0, Head(Hello)));
        Assert.Equal(FrameType.Welcome, peer.ReadType());
        return peer;
    }

    public static Greeting Hello => Greeting.Of(Pair.Options(TimeProvider.System), FabricLane.Decode);

    public static byte[] Head(Greeting greeting)
    {
        byte[] head = new byte[FrameHeader.MaxHeadLength];
        return head[..greeting.Write(head)];
    }

    public static byte[] Frame(FrameType type, ulong id, byte[]? head = null, byte[]? payload = null)
    {
        byte[] start = new byte[FrameHeader.Length + (head?.Length ?? 0)];
        FrameHeader.Write(start, type, id, head, payload);
        return [.. start, .. payload ?? []];
    }

    public void Write(byte[] bytes) => _socket.Write(bytes);

    public FrameType ReadType()
    {
        Assert.True(_reader.TryRead(out Frame frame), "The connection ended.");
        frame.Payload.Return();
        return frame.Header.Type;
    }

    /// <summary>What the other end says as it ends the connection; fails if it does not.</summary>
    public string ReadEnd()
    {
        try
        {
            while (_reader.TryRead(out Frame frame))
            {
                frame.Payload.Return();
                if (frame.Header.Type == FrameType.Refusal && frame.Header.Id == 0)
                    return Encoding.UTF8.GetString(frame.Head);
            }
        }
        catch (SocketException)
        {
        }

        return "";
    }

    public void Dispose() => _socket.Dispose();
}
