namespace K2Cluster.Hosting;

/// <summary>
/// One option: <c>Name</c> on the command line (--kv-memory), <c>Key</c> in configuration (K2:KvMemory) and in the environment (K2__KvMemory).
/// <c>Value</c> stands for its value in the help and is null for a flag; <c>Only</c> is the role that has it, null for both.
/// </summary>
internal sealed record K2OptionEntry(string Name, string Key, string? Value, string Help, K2Role? Only = null);

/// <summary>Every option there is, in the order in which the help shows them.</summary>
internal static class K2OptionTable
{
    public const string Section = "K2";

    public static readonly K2OptionEntry[] Entries =
    [
        new("--model", "Model", "DIR", "Checkpoint directory, as published on Hugging Face [default: models/k2-nano, searched upwards]"),
        new("--name", "Name", "NAME", "Name under which the model is served [default: the directory's name]"),
        new("--cluster", "Cluster", "KIND", "Where the experts live. embedded: in this process (gateway only, its default); localhost: in silos on this machine (the silo's default); redis: in silos anywhere, found through --redis"),
        new("--redis", "Redis", "HOST:PORT", "Redis server of --cluster redis"),
        new("--cluster-id", "ClusterId", "ID", "Processes with the same id form one cluster [default: from the model's full path]"),
        new("--silo-name", "SiloName", "NAME", "This process's name in the cluster [default: host name and a random suffix]. Give a silo a name of its own: with a stable name it gets its experts back after a restart"),
        new("--device", "Device", "DEVICE", "auto: all usable GPUs, and the CPU for what does not fit there; cpu; or cuda:0,1: these GPUs and nothing else [default: auto]"),
        new("--cpu-activations", "CpuActivations", "int16|int8", "What INT4 experts are multiplied with on the CPU. int8: up to 1.5 times as fast for prompts and many requests, error 5e-3 a product instead of 2e-5 [default: int16]"),
        new("--numa", "Numa", "auto|off|DIR", "auto: each NUMA node of this machine is a device with threads and memory of its own; off: one device for all; or a directory laid out as /sys/devices/system/node [default: auto]"),
        new("--memory", "Memory", "SIZE", "Budget for expert weights, such as 20GiB: of the host, and of each GPU [default: 60 % of this machine's memory, and what a GPU has free less a sixteenth]"),
        new("--kv-memory", "KvMemory", "SIZE", "Budget for the KV cache [default: 25 % of this machine's memory, at most 16GiB]", K2Role.Gateway),
        new("--prefix-cache", "PrefixCache", "on|off", "Keep the KV cache of texts for requests that begin alike [default: on]", K2Role.Gateway),
        new("--speculate", "Speculate", "N", "Guess up to N tokens ahead, 1 to 16, from the text so far and check them in one step; 0: do not. Same answers, sooner where they repeat their prompt [default: 0]", K2Role.Gateway),
        new("--max-running", "MaxRunning", "N", "Requests that run at once [default: 256]", K2Role.Gateway),
        new("--max-waiting", "MaxWaiting", "N", "Requests that may wait; one more gets 429 [default: 1024]", K2Role.Gateway),
        new("--step-tokens", "StepTokens", "N", "Most tokens of a step, prompts and answers together [default: 512]", K2Role.Gateway),
        new("--chunk-tokens", "ChunkTokens", "N", "Most tokens of prompts in a step that also goes on with answers: what these wait for between two tokens [default: 256]", K2Role.Gateway),
        new("--threads", "Threads", "N", "Compute threads [default: one per core]"),
        new("--http", "Http", "URL", "HTTP address [default: http://127.0.0.1:8080; on a silo, where it serves health and metrics only, a free port]"),
        new("--grpc", "Grpc", "URL", "gRPC address [default: http://127.0.0.1:8081]", K2Role.Gateway),
        new("--listen", "Listen", "IP[:PORT]", "Address for cluster traffic [default: 127.0.0.1, a free port]"),
        new("--advertise", "Advertise", "HOST[:PORT]", "Address at which the rest of the cluster reaches --listen [default: the same]"),
        new("--tls-cert", "TlsCert", "FILE", "This process's certificate (PEM): cluster traffic is encrypted, and only processes with a certificate of --tls-ca take part. With --tls-key and --tls-ca, on every process of the cluster"),
        new("--tls-key", "TlsKey", "FILE", "The private key of --tls-cert (PEM, not encrypted)"),
        new("--tls-ca", "TlsCa", "FILE", "The certificate of the cluster's own authority (PEM)"),
        new("--drain-timeout", "DrainTimeout", "SECONDS", "How long a process that was asked to stop may take for what it has begun: a gateway for its requests, a silo until its experts are elsewhere; 0: no time [default: 60]"),
        new("--insecure", "Insecure", null, "Allow to listen beyond this machine where there is no protection: --http and --grpc, which have no TLS and keys, and --listen without --tls-cert. Anybody who can reach such a port can use it"),
    ];

    public static IEnumerable<K2OptionEntry> For(K2Role role) => Entries.Where(entry => entry.Only is null || entry.Only == role);
}
