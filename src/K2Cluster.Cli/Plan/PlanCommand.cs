using System.CommandLine;
using K2Cluster.Planning;
using Spectre.Console;

namespace K2Cluster.Cli;

/// <summary><c>k2 plan MODEL --device …</c>: whether a model fits on devices, where its experts go, what survives, how fast a step can be.</summary>
internal static class PlanCommand
{
    private const int NotFitting = 1;

    public static Command Create(IAnsiConsole console)
    {
        Argument<string> model = new("MODEL") { Description = "A checkpoint's directory, or a shape by name: k2, moonlight, bench-4b, tiny." };
        Option<string[]> device = new("--device") { Description = $"A device, or several alike: {DeviceSpec.Syntax}. Again for others.", HelpName = "SPEC", DefaultValueFactory = _ => [] };
        Option<string?> devices = new("--devices") { Description = "A file with a JSON array of such texts.", HelpName = "FILE" };
        Option<int> replicas = CommandOptions.Count("--replicas", "Replicas of every expert, on as many hosts, as far as memory goes.", PlanWishes.None.Replicas, 16);
        Option<string> loadRate = new("--load-rate") { Description = "What each host loads in a second.", HelpName = "RATE", DefaultValueFactory = _ => "1GB/s" };
        Option<string> network = new("--network") { Description = $"Between gateway and silos: {NetworkSpec.Syntax}.", HelpName = "NETWORK", DefaultValueFactory = _ => "10GbE" };
        Option<string> gateway = new("--gateway") { Description = "What the gateway's memory is read at.", HelpName = "RATE", DefaultValueFactory = _ => "200GB/s" };
        Option<string> batches = CommandOptions.Counts("--batch", "Sequences that decode together.", "1,8,32", 4096);
        Option<int> context = CommandOptions.Count("--context", "Tokens of each, whose KV cache is read.", 4096, 1 << 24);
        Option<string?> json = CommandOptions.JsonFile();
        Command command = new("plan", "Tells whether a model fits on devices, where its experts go, which hosts may be lost, and how long a step takes at least.")
        {
            model, device, devices, replicas, loadRate, network, gateway, batches, context, json,
        };
        command.SetAction(parsed =>
        {
            IReadOnlyList<DeviceSpec> specs = DeviceSpec.ReadAll(parsed.GetValue(device)!, parsed.GetValue(devices));
            PlanSettings settings = new(
                parsed.GetValue(replicas),
                RateOf("--load-rate", parsed.GetValue(loadRate)!),
                NetworkSpec.Parse(parsed.GetValue(network)!),
                RateOf("--gateway", parsed.GetValue(gateway)!),
                CommandOptions.CountsOf(parsed.GetValue(batches)!),
                parsed.GetValue(context));
            ResultFile.Check(parsed.GetValue(json));
            PlanReport report = Make(PlannedModel.Read(parsed.GetValue(model)!), specs, settings);
            PlanPrinter.Print(report, console);
            ResultFile.Write(parsed.GetValue(json), report, PlanReportJson.Default.PlanReport);
            return report.Fits ? 0 : NotFitting;
        });
        return command;
    }

    private static PlanReport Make(PlannedModel model, IReadOnlyList<DeviceSpec> specs, PlanSettings settings)
    {
        long expertBytes = model.Sizes.LargestExpert;
        PlanShape shape = new(model.Sizes.MoeLayers, model.Config.RoutedExperts, model.Config.FirstDenseLayers);
        PlanDevice[] devices = Devices(specs, shape, expertBytes);
        ExpertPlan plan = ExpertPlanner.Plan(new PlanRequest(shape, devices) { Wishes = new PlanWishes { Replicas = settings.Replicas } });

        int[] owned = new int[plan.Devices.Length];
        int[] held = new int[plan.Devices.Length];
        for (int expert = 0; expert < shape.Count; expert++)
        {
            if (plan.OwnerOf(expert) is var owner and >= 0)
                owned[owner]++;
            foreach (int device in plan.ReplicasOf(expert))
                held[device]++;
        }

        StepCosts costs = new()
        {
            ExpertsPerToken = model.Config.ExpertsPerToken,
            ExpertBytes = expertBytes,
            HiddenSize = model.Config.HiddenSize,
            TrunkBytes = model.StepBytes,
            KvBytes = model.Config.KvBytesPerToken * settings.Context,
            GatewayBytesPerSecond = settings.GatewayRate,
            RoundTrip = settings.Network.RoundTrip,
            NetworkBytesPerSecond = settings.Network.BytesPerSecond,
        };
        return new PlanReport(
            model.Name,
            shape.Layers,
            shape.Experts,
            expertBytes,
            model.Sizes.Trunk,
            model.Config.KvBytesPerToken,
            plan.Missing == 0,
            plan.Missing,
            plan.Missing * expertBytes,
            plan.Devices.Select((device, i) => (long)(device.Capacity - held[i])).Sum() * expertBytes,
            [.. plan.Devices.Select((device, i) => new PlannedDevice(device.Id, device.Host, device.Kind, Math.Round(device.Speed * expertBytes), device.Capacity, owned[i], held[i] - owned[i], held[i] * expertBytes)).OrderBy(device => device.Device, NaturalOrder.Instance)],
            HostLoss.SurvivedWithoutReload(plan),
            HostLoss.SurvivedWithReload(plan),
            settings.LoadRate,
            [.. HostLoss.OfEach(plan, expertBytes, settings.LoadRate).OrderBy(loss => loss.Host, NaturalOrder.Instance).Select(loss => new PlannedLoss(loss.Host, loss.Lost, loss.Homeless, loss.Reload?.TotalSeconds))],
            settings.Network.Name,
            settings.GatewayRate,
            settings.Context,
            plan.Missing > 0 ? [] : [.. settings.Batches.Select(batch => StepOf(StepTime.Of(plan, costs, batch)))]);
    }

    private static PlanDevice[] Devices(IReadOnlyList<DeviceSpec> specs, PlanShape shape, long expertBytes)
    {
        Dictionary<string, int> slots = [];
        List<PlanDevice> devices = [];
        foreach (DeviceSpec spec in specs)
        {
            int slot = slots.GetValueOrDefault(spec.Host);
            slots[spec.Host] = slot + 1;
            devices.Add(new PlanDevice($"{spec.Host}/{slot}", spec.Host, spec.Kind, (int)Math.Min(shape.Count, spec.Memory / expertBytes), spec.Bandwidth / expertBytes) { UsesHostThreads = spec.UsesHostThreads });
        }

        return [.. devices];
    }

    private static PlannedStep StepOf(StepTime step) =>
        new(step.Batch, step.Trunk.TotalSeconds, step.Experts.TotalSeconds, step.Network.TotalSeconds, step.Total.TotalSeconds, step.TokensPerSecond);

    private static double RateOf(string option, string text) =>
        Quantity.TryRate(text, out double rate) ? rate : throw new CommandException($"{option} {TerminalText.Of(text)}: a rate like 2GB/s is expected, 1KB/s or more.");

    private sealed record PlanSettings(int Replicas, double LoadRate, NetworkSpec Network, double GatewayRate, int[] Batches, int Context);
}
