using System.Runtime.InteropServices;
using K2Cluster.Checkpoint;

namespace K2Cluster.Trunk.Tests;

/// <summary>
/// The model in FP64, written straight from its equations and sharing no code with the trunk: keys and values of every head
/// made in full, no cache, no tiles. Experts are given by the caller, and checked to be a choice that the scores allow.
/// </summary>
internal sealed class ReferenceModel(ModelDirectory model)
{
    private readonly ModelConfig _config = model.Config;

    public double[][] Embed(int[] tokens)
    {
        double[] table = Tensor(model.Catalog.Embedding);
        return [.. tokens.Select(token => table.AsSpan(token * _config.HiddenSize, _config.HiddenSize).ToArray())];
    }

    /// <summary>The rows after a layer.</summary>
    /// <param name="rows">[positions, hidden].</param>
    /// <param name="layer">Which layer.</param>
    /// <param name="experts">[positions, top-k]; null for a dense layer.</param>
    public double[][] Layer(double[][] rows, int layer, int[][]? experts)
    {
        double[][] attended = Add(rows, Attention(Norm(rows, Weight(layer, "input_layernorm.weight")), layer));
        double[][] normed = Norm(attended, Weight(layer, "post_attention_layernorm.weight"));
        return Add(attended, experts is null ? Mlp(normed, layer, "mlp") : Moe(normed, layer, experts));
    }

    public double[][] Logits(double[][] rows) => Linear(Norm(rows, Tensor(model.Catalog.FinalNorm)), Tensor(model.Catalog.Head));

    private double[][] Attention(double[][] x, int layer)
    {
        int heads = _config.HeadCount;
        int nope = _config.QkNopeHeadDim;
        int rope = _config.QkRopeHeadDim;
        int value = _config.ValueHeadDim;
        double[][] queries = _config.QueryLoraRank is null
            ? Linear(x, Weight(layer, "self_attn.q_proj.weight"))
            : Linear(Norm(Linear(x, Weight(layer, "self_attn.q_a_proj.weight")), Weight(layer, "self_attn.q_a_layernorm.weight")), Weight(layer, "self_attn.q_b_proj.weight"));
        double[][] down = Linear(x, Weight(layer, "self_attn.kv_a_proj_with_mqa.weight"));
        double[][] latents = Norm([.. down.Select(row => row[.._config.KvLoraRank])], Weight(layer, "self_attn.kv_a_layernorm.weight"));
        double[][] up = Linear(latents, Weight(layer, "self_attn.kv_b_proj.weight"));
        double[][] sharedKeys = [.. down.Select((row, position) => Rotate(row[_config.KvLoraRank..], position))];
        double scale = SoftmaxScale();

        double[][] outputs = [.. x.Select(_ => new double[heads * value])];
        Parallel.For(0, x.Length, new ParallelOptions { MaxDegreeOfParallelism = 2 }, position =>
        {
            double[] scores = new double[position + 1];
            for (int head = 0; head < heads; head++)
            {
                ReadOnlySpan<double> query = queries[position].AsSpan(head * (nope + rope), nope + rope);
                double[] turned = Rotate(query[nope..].ToArray(), position);
                for (int other = 0; other <= position; other++)
                    scores[other] = scale * (Dot(query[..nope], up[other].AsSpan(head * (nope + value), nope)) + Dot(turned, sharedKeys[other]));

                double max = scores.Max();
                double sum = 0;
                Span<double> output = outputs[position].AsSpan(head * value, value);
                for (int other = 0; other <= position; other++)
                {
                    double weight = Math.Exp(scores[other] - max);
                    sum += weight;
                    ReadOnlySpan<double> values = up[other].AsSpan((head * (nope + value)) + nope, value);
                    for (int i = 0; i < value; i++)
                        output[i] += weight * values[i];
                }

                for (int i = 0; i < value; i++)
                    output[i] /= sum;
            }
        });
        return Linear(outputs, Weight(layer, "self_attn.o_proj.weight"));
    }

    private double[][] Moe(double[][] x, int layer, int[][] experts)
    {
        double[][] logits = Linear(x, Weight(layer, "mlp.gate.weight"));
        double[] bias = Weight(layer, "mlp.gate.e_score_correction_bias");
        double[][] result = Mlp(x, layer, "mlp.shared_experts");
        double[][] weights = new double[x.Length][];
        for (int row = 0; row < x.Length; row++)
        {
            double[] scores = [.. logits[row].Select(logit => 1 / (1 + Math.Exp(-logit)))];
            CheckChoice([.. scores.Zip(bias, (score, b) => score + b)], experts[row], $"layer {layer}, row {row}");
            double sum = _config.NormaliseTopK ? experts[row].Sum(expert => scores[expert]) : 1;
            weights[row] = [.. experts[row].Select(expert => scores[expert] / sum * _config.RoutedScalingFactor)];
        }

        for (int expert = 0; expert < _config.RoutedExperts; expert++)
        {
            int[] rows = [.. Enumerable.Range(0, x.Length).Where(row => experts[row].Contains(expert))];
            double[][] outputs = Mlp([.. rows.Select(row => x[row])], layer, $"mlp.experts.{expert}");
            for (int i = 0; i < rows.Length; i++)
            {
                double weight = weights[rows[i]][Array.IndexOf(experts[rows[i]], expert)];
                for (int d = 0; d < outputs[i].Length; d++)
                    result[rows[i]][d] += weight * outputs[i][d];
            }
        }

        return result;
    }

    /// <summary>Roundings may turn a near tie; nothing else may differ from the best experts of the best groups.</summary>
    private void CheckChoice(double[] choices, int[] chosen, string where)
    {
        const double NearTie = 2e-2;
        int size = choices.Length / _config.Groups;
        double[] groups = [.. choices.Chunk(size).Select(members => members.OrderDescending().Take(2).Sum())];
        int[] open = [.. chosen.Select(expert => expert / size).Distinct()];
        Assert.True(open.Length <= _config.TopKGroups, $"{where}: experts of {open.Length} groups");
        double lastGroup = groups.OrderDescending().ElementAt(_config.TopKGroups - 1);
        Assert.All(open, group => Assert.True(groups[group] >= lastGroup - NearTie, $"{where}: group {group} is not among the best"));

        // Of groups that nobody was chosen from, any that is clearly among the best would have been.
        IEnumerable<int> sure = Enumerable.Range(0, _config.Groups).Where(group => open.Contains(group) || groups.Count(other => other >= groups[group] - NearTie) <= _config.TopKGroups);
        double worst = chosen.Min(expert => choices[expert]);
        double bestLeft = Enumerable.Range(0, choices.Length).Where(expert => sure.Contains(expert / size) && !chosen.Contains(expert)).Max(expert => choices[expert]);
        Assert.True(worst >= bestLeft - NearTie, $"{where}: an expert of {worst:F4} was chosen before one of {bestLeft:F4}");
    }

    private double[][] Mlp(double[][] x, int layer, string module)
    {
        double[][] gate = Linear(x, Projection(layer, module, "gate_proj"));
        double[][] up = Linear(x, Projection(layer, module, "up_proj"));
        double[][] inner = [.. gate.Zip(up, (g, u) => g.Zip(u, (a, b) => a / (1 + Math.Exp(-a)) * b).ToArray())];
        return Linear(inner, Projection(layer, module, "down_proj"));
    }

    private double[] Projection(int layer, string module, string projection)
    {
        string name = model.Catalog.Layer(layer, $"{module}.{projection}");
        if (model.Tensors.TryGet(name + ".weight", out _))
            return Tensor(name + ".weight");

        Assert.True(model.Tensors.TryGet(name + ".weight_packed", out TensorInfo? packed));
        byte[] nibbles = Bytes(packed);
        double[] scales = Tensor(name + ".weight_scale");
        return [.. Enumerable.Range(0, nibbles.Length * 2).Select(i => (((nibbles[i / 2] >> (4 * (i % 2))) & 15) - 8) * scales[i / 32])];
    }

    private double[] Rotate(double[] x, int position)
    {
        double[] result = new double[x.Length];
        for (int i = 0; i < x.Length / 2; i++)
        {
            (double sin, double cos) = Math.SinCos(position * Frequency(i));
            result[2 * i] = (x[2 * i] * cos) - (x[(2 * i) + 1] * sin);
            result[(2 * i) + 1] = (x[2 * i] * sin) + (x[(2 * i) + 1] * cos);
        }

        return result;
    }

    private double Frequency(int pair)
    {
        int size = _config.QkRopeHeadDim;
        double plain = Math.Pow(_config.RopeTheta, -2.0 * pair / size);
        if (_config.RopeScaling is not { } yarn)
            return plain;
        double low = Math.Max(0, Math.Floor(Dimension(yarn.BetaFast)));
        double high = Math.Min(size - 1, Math.Ceiling(Dimension(yarn.BetaSlow)));
        double ramp = Math.Clamp((pair - low) / (high == low ? 0.001 : high - low), 0, 1);
        return (plain / yarn.Factor * ramp) + (plain * (1 - ramp));

        double Dimension(double beta) => size * Math.Log(yarn.OriginalMaxPositions / (beta * 2 * Math.PI)) / (2 * Math.Log(_config.RopeTheta));
    }

    private double SoftmaxScale()
    {
        double mscale = _config.RopeScaling is { } yarn ? (0.1 * yarn.MScaleAllDim * Math.Log(yarn.Factor)) + 1 : 1;
        return mscale * mscale / Math.Sqrt(_config.QkHeadDim);
    }

    private double[][] Norm(double[][] rows, double[] weight) => [.. rows.Select(row =>
    {
        double inverse = 1 / Math.Sqrt(row.Average(value => value * value) + _config.RmsNormEpsilon);
        return row.Zip(weight, (value, w) => value * inverse * w).ToArray();
    })];

    private double[] Weight(int layer, string suffix) => Tensor(model.Catalog.Layer(layer, suffix));

    private double[] Tensor(string name)
    {
        Assert.True(model.Tensors.TryGet(name, out TensorInfo? tensor));
        byte[] bytes = Bytes(tensor);
        return tensor.Type == TensorType.F32
            ? [.. MemoryMarshal.Cast<byte, float>(bytes).ToArray().Select(value => (double)value)]
            : [.. MemoryMarshal.Cast<byte, ushort>(bytes).ToArray().Select(bits => (double)BitConverter.UInt32BitsToSingle((uint)bits << 16))];
    }

    private byte[] Bytes(TensorInfo tensor)
    {
        byte[] bytes = new byte[tensor.ByteLength];
        model.Tensors.Read(tensor, 0, bytes);
        return bytes;
    }

    private static double[][] Linear(double[][] rows, double[] weight) => [.. rows.Select(row =>
    {
        double[] result = new double[weight.Length / row.Length];
        for (int i = 0; i < result.Length; i++)
            result[i] = Dot(row, weight.AsSpan(i * row.Length, row.Length));
        return result;
    })];

    private static double[][] Add(double[][] left, double[][] right) => [.. left.Zip(right, (a, b) => a.Zip(b, (x, y) => x + y).ToArray())];

    private static double Dot(ReadOnlySpan<double> left, ReadOnlySpan<double> right)
    {
        double sum = 0;
        for (int i = 0; i < left.Length; i++)
            sum += left[i] * right[i];
        return sum;
    }
}
