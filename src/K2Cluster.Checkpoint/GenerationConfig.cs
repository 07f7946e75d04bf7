namespace K2Cluster.Checkpoint;

/// <summary>What <c>generation_config.json</c> asks of a sampler. The file is optional; its end tokens fall back to <c>config.json</c>.</summary>
/// <param name="EndTokens">Ids that end an answer; at least one.</param>
/// <param name="MaxLength">Tokens of prompt and answer together, where stated.</param>
/// <param name="Temperature">Default temperature, where stated: 0 to 2.</param>
/// <param name="TopP">Default nucleus, where stated: above 0, at most 1.</param>
public sealed record GenerationConfig(IReadOnlyList<int> EndTokens, int? MaxLength, double? Temperature, double? TopP);
