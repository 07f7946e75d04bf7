using K2Cluster.Checkpoint;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Matrices;
using K2Cluster.Trunk.Weights;

namespace K2Cluster.Trunk.Loading;

/// <summary>Loads the trunk's part of a range of layers.</summary>
internal static class TrunkLoader
{
    public static TrunkWeights Load(
        ModelConfig config, ITensorSource source, LayerRange range, CpuCompute compute, Action<TrunkLoadProgress>? progress, CancellationToken cancellation)
    {
        TensorCatalog catalog = new(config);
        catalog.CheckTrunk(source, range.First, range.Last);

        using TensorReader reader = new(source, compute);
        bool hasEnd = range.Last == config.LayerCount;
        Bf16Matrix? head = hasEnd ? reader.Matrix(catalog.Head) : null;
        EmbeddingTable? embedding = range.First > 0 ? null
            : config.TieEmbeddings && head is not null ? new EmbeddingTable(head)
            : reader.Table(catalog.Embedding);

        LayerWeights[] layers = new LayerWeights[range.Last - range.First];
        for (int i = 0; i < layers.Length; i++)
        {
            cancellation.ThrowIfCancellationRequested();
            progress?.Invoke(new TrunkLoadProgress(i, layers.Length, reader.BytesRead));
            layers[i] = Layer(config, catalog, reader, range.First + i);
        }

        float[]? norm = hasEnd ? reader.Vector(catalog.FinalNorm) : null;
        progress?.Invoke(new TrunkLoadProgress(layers.Length, layers.Length, reader.BytesRead));
        return new TrunkWeights(reader.Release()) { Embedding = embedding, Layers = layers, FinalNorm = norm, Head = head };
    }

    private static LayerWeights Layer(ModelConfig config, TensorCatalog catalog, TensorReader reader, int layer)
    {
        bool isMoe = config.IsMoeLayer(layer);
        return new LayerWeights
        {
            InputNorm = reader.Vector(Name("input_layernorm.weight")),
            Attention = Attention(),
            MlpNorm = reader.Vector(Name("post_attention_layernorm.weight")),
            Mlp = Mlp(isMoe ? "mlp.shared_experts" : "mlp"),
            Router = isMoe ? new RouterWeights(reader.Matrix(Name("mlp.gate.weight")), reader.Vector(Name("mlp.gate.e_score_correction_bias"))) : null,
        };

        string Name(string suffix) => catalog.Layer(layer, suffix);

        AttentionWeights Attention()
        {
            bool hasRank = config.QueryLoraRank is not null;
            (Bf16Matrix[] keys, Bf16Matrix[] values) = reader.KeysAndValues(Name("self_attn.kv_b_proj.weight"), config);
            return new AttentionWeights
            {
                Down = reader.Matrix(Name(hasRank ? "self_attn.q_a_proj.weight" : "self_attn.q_proj.weight"), Name("self_attn.kv_a_proj_with_mqa.weight")),
                QueryNorm = hasRank ? reader.Vector(Name("self_attn.q_a_layernorm.weight")) : null,
                QueryUp = hasRank ? reader.Matrix(Name("self_attn.q_b_proj.weight")) : null,
                KvNorm = reader.Vector(Name("self_attn.kv_a_layernorm.weight")),
                KeyUp = keys,
                ValueUp = values,
                Output = reader.Matrix(Name("self_attn.o_proj.weight")),
            };
        }

        MlpWeights Mlp(string module) => new(
            reader.Matrix(Name($"{module}.gate_proj.weight"), Name($"{module}.up_proj.weight")),
            reader.Matrix(Name($"{module}.down_proj.weight")));
    }
}
