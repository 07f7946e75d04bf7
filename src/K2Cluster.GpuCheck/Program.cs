using K2Cluster.GpuCheck;

const int WrongUsage = 2;
CheckOptions options = new(Device: 0, Quick: false, Output: null);
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--quick":
            options = options with { Quick = true };
            break;
        case "--output" when i + 1 < args.Length:
            options = options with { Output = args[++i] };
            break;
        case "--device" when i + 1 < args.Length && int.TryParse(args[i + 1], out int device):
            options = options with { Device = device };
            i++;
            break;
        default:
            if (args[i] is not ("--help" or "-h"))
                Console.Error.WriteLine($"{args[i]}: there is no such option, or its value is missing or wrong.\n");
            Console.Error.WriteLine($"""
                Verifies and measures the GPU kernels of K2Cluster on an NVIDIA card.
                  --quick        {CheckOptions.QuickHelp}
                  --output DIR   {CheckOptions.OutputHelp}
                  --device N     {CheckOptions.DeviceHelp}
                """);
            return args[i] is "--help" or "-h" ? 0 : WrongUsage;
    }
}

using CancellationTokenSource interrupt = new();
Console.CancelKeyPress += (_, press) =>
{
    press.Cancel = !interrupt.IsCancellationRequested;
    interrupt.Cancel();
};
return CardCheck.Run(options, Console.Out, Console.Error, interrupt.Token);
