using K2Cluster.Checkpoint;

namespace K2Cluster.Gateway.Loading;

/// <summary>Which models the one chat template that there is, Kimi K2 Thinking's, is meant for.</summary>
internal static class ChatFamily
{
    /// <summary>False for the text part of K2.5 and later, and for Moonlight: they were trained on other templates.</summary>
    public static bool IsKnown(ModelConfig model) => model.ModelType == "kimi_k2" && model.TensorPrefix.Length == 0;
}
