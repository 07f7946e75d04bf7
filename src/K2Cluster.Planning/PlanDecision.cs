namespace K2Cluster.Planning;

/// <summary>That a device is to hold an expert, and why.</summary>
/// <param name="Device">The device's id.</param>
/// <param name="IsOwner">Whether it is the one replica that every expert has.</param>
/// <param name="Reason">Why.</param>
/// <param name="Text">The same for people.</param>
public sealed record PlanDecision(string Device, bool IsOwner, PlanReason Reason, string Text);
