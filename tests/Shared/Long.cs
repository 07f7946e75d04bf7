namespace K2Cluster.Tests;

/// <summary>Whether tests take the time that they would rather have: where K2_LONG is set, not in CI.</summary>
internal static class Long
{
    /// <summary>Why a test is skipped that would take such time.</summary>
    public const string IsMissing = "It takes long: set K2_LONG=1 to run it.";

    public static bool IsAskedFor { get; } = !string.IsNullOrEmpty(Environment.GetEnvironmentVariable("K2_LONG"));
}
