namespace K2Cluster.Fabric.Frames;

/// <summary>What a frame says. Values are the wire's.</summary>
internal enum FrameType : byte
{
    /// <summary>The client's first frame; head: a <see cref="Handshake.Greeting"/>.</summary>
    Hello = 1,

    /// <summary>The server's answer; head: a <see cref="Handshake.Greeting"/>.</summary>
    Welcome = 2,

    Request = 3,

    /// <summary>Answers the request of its id.</summary>
    Reply = 4,

    /// <summary>Answers the request of its id with a text, the head; with id 0 it says why the sender ends the connection.</summary>
    Refusal = 5,

    /// <summary>Nobody waits for the request of its id any more. It is answered nevertheless: that frees its slot.</summary>
    Cancel = 6,

    Ping = 7,

    /// <summary>Answers a ping; head: what the service says of itself.</summary>
    Pong = 8,

    /// <summary>The sender leaves: what is under way is finished, nothing new is begun.</summary>
    Goodbye = 9,
}
