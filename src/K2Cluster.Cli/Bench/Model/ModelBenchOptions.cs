namespace K2Cluster.Cli;

/// <summary>What <c>k2 bench model</c> does.</summary>
/// <param name="Model">The checkpoint's directory.</param>
/// <param name="Threads">That compute.</param>
/// <param name="Prefill">Lengths of prompts.</param>
/// <param name="Chunk">Tokens of a prompt in one step.</param>
/// <param name="Batches">Sequences that decode together.</param>
/// <param name="Context">Tokens that each of them has already.</param>
/// <param name="Steps">Decode steps of a round.</param>
/// <param name="Rounds">How often everything is measured, in turn.</param>
/// <param name="Seed">Of the tokens.</param>
/// <param name="CpuActivations">"int16" or "int8".</param>
internal sealed record ModelBenchOptions(
    string Model, int Threads, IReadOnlyList<int> Prefill, int Chunk, IReadOnlyList<int> Batches, int Context, int Steps, int Rounds, int Seed, string CpuActivations);
