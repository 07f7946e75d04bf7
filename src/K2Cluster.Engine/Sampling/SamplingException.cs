namespace K2Cluster.Engine.Sampling;

/// <summary>The logits allow no choice: the model is broken, or a mask forbids everything.</summary>
internal sealed class SamplingException(string message) : Exception(message);
