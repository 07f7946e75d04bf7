using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;

namespace K2Cluster.Tests;

/// <summary>
/// Writes a small checkpoint with random weights in the published layout: a file for each layer, one for the rest, and
/// the index. The same shape and seed give the same bytes.
/// </summary>
internal sealed class CheckpointWriter
{
    private readonly CheckpointShape _shape;
    private readonly Random _random;
    private SafetensorsFile _file = new();

    private CheckpointWriter(CheckpointShape shape, int seed)
    {
        _shape = shape;
        _random = new Random(seed);
    }

    /// <param name="directory">Where the files go; it exists.</param>
    /// <param name="shape">What to write.</param>
    /// <param name="seed">Of the weights.</param>
    /// <param name="singleFile">One <c>model.safetensors</c> and no index.</param>
    public static void Write(string directory, CheckpointShape shape, int seed = 1, bool singleFile = false)
    {
        CheckpointWriter writer = new(shape, seed);
        File.WriteAllText(Path.Combine(directory, "config.json"), shape.ToConfig().ToJsonString());
        if (singleFile)
        {
            for (int layer = 0; layer < shape.Layers; layer++)
                writer.AddLayer(layer);
            writer.AddEnds();
            writer._file.Write(Path.Combine(directory, "model.safetensors"));
            return;
        }

        JsonObject weightMap = [];
        for (int part = 0; part <= shape.Layers; part++)
        {
            writer._file = new SafetensorsFile();
            if (part < shape.Layers)
                writer.AddLayer(part);
            else
                writer.AddEnds();
            string name = $"model-{part + 1:D5}-of-{shape.Layers + 1:D6}.safetensors";
            writer._file.Write(Path.Combine(directory, name));
            foreach ((string tensor, _) in writer._file.Header)
                weightMap[tensor] = name;
        }

        File.WriteAllText(Path.Combine(directory, "model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject(), ["weight_map"] = weightMap }.ToJsonString());
    }

    private void AddEnds()
    {
        Matrix("model.embed_tokens.weight", _shape.Vocabulary, _shape.Hidden);
        Matrix("lm_head.weight", _shape.Vocabulary, _shape.Hidden);
        Norm("model.norm.weight", _shape.Hidden);
        if (_shape.Prefix.Length > 0)
            _file.Add("vision_tower.patch_embed.proj.weight", "F16", [4, 4], new byte[32]);
    }

    private void AddLayer(int layer)
    {
        string at = $"model.layers.{layer}.";
        int hidden = _shape.Hidden;
        int queryHead = _shape.Nope + _shape.Rope;
        Norm(at + "input_layernorm.weight", hidden);
        Norm(at + "post_attention_layernorm.weight", hidden);
        if (_shape.QueryLoraRank is int rank)
        {
            Matrix(at + "self_attn.q_a_proj.weight", rank, hidden);
            Norm(at + "self_attn.q_a_layernorm.weight", rank);
            Matrix(at + "self_attn.q_b_proj.weight", _shape.Heads * queryHead, rank);
        }
        else
        {
            Matrix(at + "self_attn.q_proj.weight", _shape.Heads * queryHead, hidden);
        }

        Matrix(at + "self_attn.kv_a_proj_with_mqa.weight", _shape.KvLoraRank + _shape.Rope, hidden);
        Norm(at + "self_attn.kv_a_layernorm.weight", _shape.KvLoraRank);
        Matrix(at + "self_attn.kv_b_proj.weight", _shape.Heads * (_shape.Nope + _shape.Value), _shape.KvLoraRank);
        Matrix(at + "self_attn.o_proj.weight", hidden, _shape.Heads * _shape.Value);
        // Published checkpoints have it; nobody reads it.
        _file.Add(_shape.Prefix + at + "self_attn.rotary_emb.inv_freq", "F32", [_shape.Rope / 2], new byte[_shape.Rope / 2 * sizeof(float)]);
        if (layer < _shape.FirstDense || layer % _shape.MoeFrequency != 0)
        {
            Mlp(at + "mlp.", _shape.Intermediate, Matrix);
            return;
        }

        Matrix(at + "mlp.gate.weight", _shape.Experts, hidden);
        float[] bias = [.. Enumerable.Range(0, _shape.Experts).Select(_ => (float)Normal() * 0.05f)];
        _file.Add(_shape.Prefix + at + "mlp.gate.e_score_correction_bias", _shape.BiasType, [_shape.Experts],
            _shape.BiasType == "F32" ? MemoryMarshal.AsBytes(bias.AsSpan()) : Bf16(bias));
        Mlp(at + "mlp.shared_experts.", _shape.SharedExperts * _shape.MoeIntermediate, Matrix);
        for (int expert = 0; expert < _shape.Experts; expert++)
            Mlp($"{at}mlp.experts.{expert}.", _shape.MoeIntermediate, _shape.Int4 ? PackedMatrix : Matrix);
    }

    private void Mlp(string at, int width, Action<string, int, int> add)
    {
        add(at + "gate_proj.weight", width, _shape.Hidden);
        add(at + "up_proj.weight", width, _shape.Hidden);
        add(at + "down_proj.weight", _shape.Hidden, width);
    }

    private void Norm(string name, int size) =>
        _file.Add(_shape.Prefix + name, "BF16", [size], Bf16([.. Enumerable.Range(0, size).Select(_ => 1 + (float)Normal() * 0.1f)]));

    private void Matrix(string name, int rows, int columns) =>
        _file.Add(_shape.Prefix + name, "BF16", [rows, columns], Bf16([.. Enumerable.Range(0, rows * columns).Select(_ => (float)(Normal() / Math.Sqrt(columns)))]));

    private void PackedMatrix(string name, int rows, int columns)
    {
        // Any nibble is a weight of -8 to 7; their deviation is 4.6.
        byte[] packed = new byte[rows * columns / 2];
        _random.NextBytes(packed);
        float[] scales = [.. Enumerable.Range(0, rows * columns / 32).Select(_ => (float)((0.8 + 0.4 * _random.NextDouble()) / 4.6 / Math.Sqrt(columns)))];
        _file.Add($"{_shape.Prefix}{name}_packed", "I32", [rows, columns / 8], packed);
        _file.Add($"{_shape.Prefix}{name}_scale", "BF16", [rows, columns / 32], Bf16(scales));
        byte[] stated = new byte[_shape.ShapeType == "I64" ? 16 : 8];
        BinaryPrimitives.WriteInt32LittleEndian(stated, rows);
        BinaryPrimitives.WriteInt32LittleEndian(stated.AsSpan(stated.Length / 2), columns);
        _file.Add($"{_shape.Prefix}{name}_shape", _shape.ShapeType, [2], stated);
    }

    private double Normal() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());

    private static byte[] Bf16(float[] values)
    {
        byte[] bytes = new byte[values.Length * sizeof(ushort)];
        for (int i = 0; i < values.Length; i++)
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(2 * i), (ushort)(BitConverter.SingleToUInt32Bits(values[i]) >> 16));
        return bytes;
    }
}
