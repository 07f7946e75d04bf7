namespace K2Cluster.Gateway.Tests;

/// <summary>Writes scripts for the made-up engine as text, in which names of special tokens are tokens.</summary>
internal static class Tokens
{
    public static IReadOnlyList<int> Of(string text) => GatewayHost.Tokenizer.Encode(text, parseSpecial: true);

    /// <summary>A script that says this and ends.</summary>
    public static MadeUpEngine Saying(string text) => new() { Script = _ => Of(text + "<|im_end|>") };
}
