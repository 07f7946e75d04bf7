namespace K2Cluster.Planning;

/// <summary>
/// How long a step of decoding takes at least, by what has to be read and sent (a roofline): nothing overlaps but the devices
/// of a layer, nothing waits for anything but memory and the network.
/// </summary>
/// <param name="Batch">Sequences that decode together.</param>
/// <param name="Trunk">The gateway reads its weights and the KV cache.</param>
/// <param name="Experts">The slowest device of each layer reads the experts that the rows ask of it.</param>
/// <param name="Network">A round trip in each layer, with the rows and their answers.</param>
public sealed record StepTime(int Batch, TimeSpan Trunk, TimeSpan Experts, TimeSpan Network)
{
    /// <summary>Draws of each layer's experts; the mean is within a percent of that of many more.</summary>
    private const int Draws = 32;

    public TimeSpan Total => Trunk + Experts + Network;

    public double TokensPerSecond => Batch / Total.TotalSeconds;

    /// <param name="plan">A plan whose device speeds are experts read in a second.</param>
    /// <param name="costs">The rest.</param>
    /// <param name="batch">Sequences.</param>
    public static StepTime Of(ExpertPlan plan, StepCosts costs, int batch)
    {
        Random random = new(1); // the same for every call, so that plans can be compared
        double experts = 0;
        long sent = 0;
        Layer layer = new(plan, batch, costs.ExpertsPerToken);
        for (int number = 0; number < plan.Shape.Layers; number++)
        {
            for (int draw = 0; draw < Draws; draw++)
            {
                layer.Draw(number, random);
                experts += layer.Seconds;
                sent += layer.RowsSent;
            }
        }

        double rowBytes = 2.0 * costs.HiddenSize;
        double answers = (double)batch * costs.ExpertsPerToken * plan.Shape.Layers;
        double seconds = ((sent / (double)Draws) + answers) * rowBytes / costs.NetworkBytesPerSecond;
        return new StepTime(
            batch,
            LongTime.FromSeconds((costs.TrunkBytes + ((double)costs.KvBytes * batch)) / costs.GatewayBytesPerSecond),
            LongTime.FromSeconds(experts / Draws),
            (costs.RoundTrip * plan.Shape.Layers) + LongTime.FromSeconds(seconds));
    }

    /// <summary>One layer of one step: which experts the rows ask for, all alike, and which replicas answer.</summary>
    private sealed class Layer(ExpertPlan plan, int batch, int expertsPerToken)
    {
        private readonly int[] _experts = [.. Enumerable.Range(0, plan.Shape.Experts)];
        private readonly int[] _answers = new int[plan.Shape.Experts];
        private readonly int[] _active = new int[plan.Devices.Length];
        private readonly int[] _lastRow = new int[plan.Devices.Length];

        /// <summary>Of the device that takes longest.</summary>
        public double Seconds { get; private set; }

        /// <summary>Rows sent, once to each device that is asked.</summary>
        public int RowsSent { get; private set; }

        public void Draw(int layer, Random random)
        {
            _answers.AsSpan().Fill(-1);
            _active.AsSpan().Clear();
            _lastRow.AsSpan().Fill(-1);
            RowsSent = 0;
            for (int row = 0; row < batch; row++)
            {
                for (int k = 0; k < expertsPerToken; k++)
                {
                    int pick = random.Next(k, _experts.Length);
                    (_experts[k], _experts[pick]) = (_experts[pick], _experts[k]);
                    Ask(layer, _experts[k], row);
                }
            }

            Seconds = 0;
            for (int device = 0; device < _active.Length; device++)
                Seconds = Math.Max(Seconds, _active[device] / plan.Devices[device].Speed);
        }

        /// <summary>The first row decides which replica answers for an expert: the one that has least to do.</summary>
        private void Ask(int layer, int expert, int row)
        {
            ref int device = ref _answers[expert];
            if (device < 0)
            {
                foreach (int replica in plan.ReplicasOf((layer * plan.Shape.Experts) + expert))
                {
                    if (device < 0 || (_active[replica] + 1) / plan.Devices[replica].Speed < (_active[device] + 1) / plan.Devices[device].Speed)
                        device = replica;
                }

                if (device < 0)
                    return;
                _active[device]++;
            }

            if (_lastRow[device] == row)
                return;
            _lastRow[device] = row;
            RowsSent++;
        }
    }
}
