using K2Cluster.Cuda.Device;
using K2Cluster.GpuCheck.Reports;
using K2Cluster.GpuCheck.Verification;
using ManagedCuda;
using ManagedCuda.BasicTypes;

namespace K2Cluster.GpuCheck.Measures;

/// <summary>
/// A layer's experts on the card, and the time of kernels over them. Each launch of a chain takes the next experts, so that
/// weights are not in the L2 when they are read again.
/// </summary>
internal sealed class MeasuredExperts : IDisposable
{
    private const int Distinct = 2;
    private const int MostLaunches = 64;

    private readonly Gpu _gpu;
    private readonly KernelSet _kernels;
    private readonly ExpertSizes _sizes;
    private readonly CheckPlan _plan;
    private readonly double _ceiling;
    private readonly DisposableStack _owned = new();
    private readonly CudaDeviceVariable<byte> _slab;
    private readonly CudaDeviceVariable<int> _slotOf;
    private readonly CudaDeviceVariable<ulong> _addresses;

    /// <param name="gpu">The card.</param>
    /// <param name="kernels">Of one target.</param>
    /// <param name="sizes">Of an expert.</param>
    /// <param name="plan">What is measured.</param>
    /// <param name="ceiling">GB/s of a copy.</param>
    /// <param name="experts">That fit.</param>
    public MeasuredExperts(Gpu gpu, KernelSet kernels, ExpertSizes sizes, CheckPlan plan, double ceiling, int experts)
    {
        (_gpu, _kernels, _sizes, _plan, _ceiling, Experts) = (gpu, kernels, sizes, plan, ceiling, experts);
        try
        {
            _slab = _owned.Add(new CudaDeviceVariable<byte>(experts * sizes.SlotBytes));
            _slotOf = _owned.Add(new CudaDeviceVariable<int>(experts));
            _addresses = _owned.Add(new CudaDeviceVariable<ulong>(experts));
            _slotOf.CopyToDevice([.. Enumerable.Range(0, experts)]);
            _addresses.CopyToDevice([.. Enumerable.Range(0, experts).Select(slot => (ulong)(_slab.DevicePointer + (slot * sizes.SlotBytes)).Pointer)]);
            for (int slot = 0; slot < experts; slot++)
            {
                if (slot < Distinct)
                    ExpertLoader.Shuffle(sizes, new HostExpert(sizes, WeightKind.Random, slot), _slab.DevicePointer + (slot * sizes.SlotBytes), values => kernels.Run($"k2_shuffle_{sizes.Format}", new LaunchPlan(0, 256, 0, 0), 2 * gpu.Multiprocessors, values));
                else
                    _slab.CopyToDevice(_slab.DevicePointer, slot % Distinct * sizes.SlotBytes, slot * sizes.SlotBytes, sizes.SlotBytes);
            }
        }
        catch
        {
            _owned.Dispose();
            throw;
        }
    }

    public int Experts { get; }

    /// <summary>gate_up and down for so many active experts of so many rows each; null where the card has no room for the rows.</summary>
    public IReadOnlyList<KernelResult>? Products(int active, int rows, bool isLarge)
    {
        int pairs = active * rows;
        if (2L * pairs * ((2L * _sizes.Hidden) + _sizes.Intermediate) > _gpu.FreeBytes)
            return null;
        int launches = LaunchesFor(active * _sizes.DownBytes);
        Load[] loads = [.. Enumerable.Range(0, launches).Select(i => new Load("", [.. Enumerable.Range(0, pairs).Select(pair => (pair, ((i * active) + (pair / rows)) % Experts))]))];
        using LayerBuffers buffers = new(this, loads, isLarge);
        return [Product("gate_up"), Product("down")];

        KernelResult Product(string product)
        {
            (int inputs, int outputs, long weights) = product == "down" ? (_sizes.Intermediate, _sizes.Hidden, _sizes.DownBytes) : (_sizes.Hidden, _sizes.Intermediate, _sizes.GateUpBytes);
            using LaunchChain chain = new();
            for (int i = 0; i < launches; i++)
                buffers.AddProduct(chain, i, product == "down");
            Times times = StreamTimer.Measure(_gpu.Stream, _plan.Rounds, launches, _ => chain.Launch(_gpu.Stream));
            double bytes = ((double)active * weights) + (2.0 * pairs * (inputs + outputs));
            double flops = 2.0 * pairs * _sizes.Hidden * _sizes.Intermediate * (product == "down" ? 1 : 2);
            return new KernelResult(_kernels.Target, $"k2_{product}_{_sizes.Format}_{(isLarge ? "large" : "small")}", active, rows, times, bytes / times.Median / 1000, bytes / times.Median / 1000 / _ceiling, flops / times.Median / 1e6);
        }
    }

    /// <summary>The route of so many tokens.</summary>
    public KernelResult Route(int batch)
    {
        using LayerBuffers buffers = new(this, [Routed(batch, 0)], isLarge: false);
        using LaunchChain chain = new();
        const int Launches = 8;
        for (int i = 0; i < Launches; i++)
            buffers.AddRoute(chain, 0);
        Times times = StreamTimer.Measure(_gpu.Stream, _plan.Rounds, Launches, _ => chain.Launch(_gpu.Stream));
        double bytes = batch * _plan.ExpertsPerToken * 17.0;
        return new KernelResult(_kernels.Target, "k2_route", Experts, batch * _plan.ExpertsPerToken, times, bytes / times.Median / 1000, bytes / times.Median / 1000 / _ceiling, 0);
    }

    /// <summary>The shuffle of a gate_up stream into every slot in turn: bytes read plus written.</summary>
    public KernelResult Shuffle()
    {
        string name = $"k2_shuffle_{_sizes.Format}";
        long weights = (long)_sizes.Hidden * _sizes.Intermediate * (_sizes.IsInt4 ? 4 : 16) / 8;
        long scales = _sizes.IsInt4 ? weights / 8 : 0;
        using CudaDeviceVariable<byte> staged = new(2 * (weights + scales));
        staged.Memset(0x33);
        CudaKernel kernel = _kernels.Get(name, new LaunchPlan(0, 256, 0, 0), 2 * _gpu.Multiprocessors);
        (CUdeviceptr gate, CUdeviceptr up) = (staged.DevicePointer, staged.DevicePointer + weights);
        (uint tiles, uint inputs) = ((uint)(_sizes.Intermediate / 8), (uint)_sizes.Hidden);
        Times times = StreamTimer.Measure(_gpu.Stream, _plan.Rounds, 1, round =>
        {
            CUdeviceptr slot = _slab.DevicePointer + (round % Experts * _sizes.SlotBytes);
            if (_sizes.IsInt4)
                kernel.RunAsync(_gpu.Stream.Stream, gate, gate + (2 * weights), up, gate + ((2 * weights) + scales), slot, tiles, 8u, inputs);
            else
                kernel.RunAsync(_gpu.Stream.Stream, gate, up, slot, tiles, 8u, inputs);
        });
        double bytes = (2.0 * (weights + scales)) + _sizes.GateUpBytes;
        return new KernelResult(_kernels.Target, name, 1, 0, times, bytes / times.Median / 1000, bytes / times.Median / 1000 / _ceiling, 0);
    }

    /// <summary>Route, gate_up and down of a batch as one graph, experts drawn anew for each launch.</summary>
    public LayerResult Layer(int batch, bool isLarge)
    {
        int steps = LaunchesFor(Math.Min(Experts, batch * _plan.ExpertsPerToken) * _sizes.SlotBytes);
        Load[] loads = [.. Enumerable.Range(0, steps).Select(i => Routed(batch, i))];
        using LayerBuffers buffers = new(this, loads, isLarge);
        LaunchChain[] graphs = [.. loads.Select(_ => new LaunchChain())];
        try
        {
            for (int i = 0; i < steps; i++)
            {
                buffers.AddRoute(graphs[i], i);
                buffers.AddProduct(graphs[i], i, isDown: false);
                buffers.AddProduct(graphs[i], i, isDown: true);
            }

            // A round is every graph once: as many experts, whichever they are.
            Times times = StreamTimer.Measure(_gpu.Stream, _plan.Rounds, steps, _ =>
            {
                foreach (LaunchChain graph in graphs)
                    graph.Launch(_gpu.Stream);
            });
            double distinct = loads.Average(load => load.Pairs.Select(pair => pair.Expert).Distinct().Count());
            double floor = distinct * (_sizes.GateUpBytes + _sizes.DownBytes) / (_ceiling * 1000);
            return new LayerResult(_kernels.Target, _sizes.Format, batch, distinct, isLarge ? "large" : "small", times, floor, times.Median / floor, isLarge == loads.Count(HasManyRows) * 2 > loads.Length);
        }
        finally
        {
            foreach (LaunchChain graph in graphs)
                graph.Dispose();
        }
    }

    public void Dispose() => _owned.Dispose();

    /// <summary>Whether the device would take the kernels for many rows.</summary>
    private static bool HasManyRows(Load load) => load.Pairs.GroupBy(pair => pair.Expert).Any(rows => rows.Count() > CudaExpertWork.MostSmallRows);

    private Load Routed(int batch, int seed) => Load.Routed(batch, Math.Min(_plan.ExpertsPerToken, Experts), Experts, seed);

    /// <summary>So many that the weights they read go round the L2 several times.</summary>
    private int LaunchesFor(long bytes) => (int)Math.Clamp((_plan.L2Times * _gpu.L2Bytes / bytes) + 1, 2, MostLaunches);

    /// <summary>Calls that were routed, and the rows they share.</summary>
    private sealed class LayerBuffers : IDisposable
    {
        private readonly MeasuredExperts _of;
        private readonly DisposableStack _owned = new();
        private readonly RoutedCall[] _calls;
        private readonly CudaDeviceVariable<ushort> _hidden;
        private readonly CudaDeviceVariable<ushort> _middle;
        private readonly CudaDeviceVariable<ushort> _output;
        private readonly CudaKernel _route;
        private readonly CudaKernel[] _products = new CudaKernel[2];
        private readonly LaunchPlan[] _plans;

        public LayerBuffers(MeasuredExperts of, Load[] loads, bool isLarge)
        {
            _of = of;
            Variant variant = Variant.Best(of._gpu, of._sizes, isLarge);
            (LaunchPlan gateUp, LaunchPlan down) = variant.Plan(of._gpu, of._sizes)!.Value;
            _plans = [gateUp, down];
            int rows = loads.Max(load => load.Pairs.Max(pair => pair.Row)) + 1;
            int pairs = loads.Max(load => load.Pairs.Length);
            try
            {
                _hidden = _owned.Add(new CudaDeviceVariable<ushort>((long)rows * of._sizes.Hidden));
                _middle = _owned.Add(new CudaDeviceVariable<ushort>((long)pairs * of._sizes.Intermediate));
                _output = _owned.Add(new CudaDeviceVariable<ushort>((long)pairs * of._sizes.Hidden));
                ushort[] row = new ushort[of._sizes.Hidden];
                Random random = new(5);
                foreach (ref ushort x in row.AsSpan())
                    x = (ushort)(0x3F00 + random.Next(256) + (random.Next(2) << 15));
                ushort[] all = new ushort[(long)rows * row.Length];
                for (int i = 0; i < rows; i++)
                    row.CopyTo(all, i * row.Length);
                _hidden.CopyToDevice(all);
                _middle.Memset(0); // down is also measured before any gate_up
                _calls = [.. loads.Select(load => _owned.Add(new RoutedCall(load, rows, layer: 0, variant.RowsPerBlock, of.Experts)))];
                LaunchPlan routePlan = LaunchPlan.Route(of.Experts, of._gpu.SharedBytes, of._gpu.MostThreads);
                foreach (RoutedCall call in _calls)
                    of._kernels.Run("k2_route", routePlan, 1, call.RouteValues(of._slotOf.DevicePointer, of._addresses.DevicePointer));
                _route = of._kernels.Get("k2_route", routePlan, 1);
                _products[0] = of._kernels.Get($"k2_gate_up_{of._sizes.Format}_{variant.Size}", gateUp, of._gpu.Multiprocessors);
                _products[1] = of._kernels.Get($"k2_down_{of._sizes.Format}_{variant.Size}", down, of._gpu.Multiprocessors);
            }
            catch
            {
                _owned.Dispose();
                throw;
            }
        }

        public void AddRoute(LaunchChain chain, int call) => chain.Add(_route, _calls[call].RouteValues(_of._slotOf.DevicePointer, _of._addresses.DevicePointer));

        public void AddProduct(LaunchChain chain, int call, bool isDown) => chain.Add(
            _products[isDown ? 1 : 0],
            isDown
                ? _calls[call].DownValues(_middle.DevicePointer, _output.DevicePointer, _of._sizes, _plans[1])
                : _calls[call].GateUpValues(_hidden.DevicePointer, _middle.DevicePointer, _of._sizes, _plans[0]));

        public void Dispose() => _owned.Dispose();
    }
}
