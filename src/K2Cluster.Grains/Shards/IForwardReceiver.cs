using K2Cluster.Contracts;

namespace K2Cluster.Grains.Shards;

/// <summary>Who waits for a frame to be computed. Called once, by the computing thread, so it must be short and throw nothing.</summary>
internal interface IForwardReceiver
{
    /// <summary>Whether nobody waits any more: then the frame, if it still waits, is not computed but failed.</summary>
    bool IsCancelled { get; }

    /// <summary>Takes the reply, which is the receiver's.</summary>
    void Complete(ExpertReply reply);

    void Fail(Exception exception);
}
