using K2Cluster.Checkpoint;
using K2Cluster.Cluster;
using K2Cluster.Contracts;
using K2Cluster.Grains;
using K2Cluster.Grains.Shards;
using K2Cluster.Hosting;
using K2Cluster.Kernels.Compute;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace K2Cluster.Embedding;

/// <summary>Makes an executable a member of its cluster, as its options say.</summary>
public static class MemberHosting
{
    /// <summary>
    /// Models with more experts (Kimi K2 has 23,040, in three reads each) are checked by one expert of each layer at the
    /// start; every expert is checked when it is loaded, anyway, before any of its weights is used.
    /// </summary>
    private const int MostExpertsChecked = 4096;

    /// <summary>
    /// Opens the checkpoint, checks what this process needs of it, and joins the cluster; a silo, and a gateway that embeds
    /// one, also gets shards on this machine's devices. A silo's readiness is that of its shards. Adds
    /// <see cref="ModelDirectory"/> and <see cref="CpuCompute"/>, one pool for all that computes here: two would fight for
    /// the same cores.
    /// </summary>
    /// <exception cref="CheckpointException">The model is not a checkpoint of a supported family, or broken.</exception>
    /// <exception cref="ClusterException">An option is not allowed, or the address to listen on cannot be bound.</exception>
    public static void AddK2Member(this IHostApplicationBuilder builder, K2Options options)
    {
        ModelDirectory model = ModelDirectory.Open(options.Model);
        if (options.Role == K2Role.Gateway)
            model.Catalog.CheckTrunk(model.Tensors, 0, model.Config.LayerCount);
        CpuCompute compute = new(options.Threads, CpuPaths.Best);

        // Through factories, so that the container disposes them: after all that resolved them, as the shards do.
        builder.Services.AddSingleton(_ => model);
        builder.Services.AddSingleton(_ => compute);

        bool hostsShards = options.Role == K2Role.Silo || options.Cluster == ClusterMode.Embedded;
        builder.AddK2Cluster(new ClusterOptions
        {
            Mode = options.Cluster,
            ClusterId = options.ClusterId,
            SiloName = options.SiloName,
            HostsShards = hostsShards,
            Listen = options.Listen,
            Advertise = options.Advertise,
            Redis = options.Redis,
            Certificates = options.Certificates,
            Insecure = options.Insecure,
            Checkpoint = options.Cluster == ClusterMode.Embedded ? null : CheckpointFingerprint.Of(model),
        });
        builder.Services.AddSingleton<IFatalErrorHandler, FatalErrors>();
        if (hostsShards)
            AddShards(builder, options, model);
        if (options.Role == K2Role.Silo)
        {
            builder.Services.AddSingleton<IReadiness, ShardReadiness>();
            builder.Services.AddSingleton<IDrain, ShardDrain>();
        }
    }

    private static void AddShards(IHostApplicationBuilder builder, K2Options options, ModelDirectory checkedModel)
    {
        // Any expert may be given to any shard: a broken one ends the start, not a request.
        ExpertGrid grid = Grid(checkedModel.Config);
        for (int expert = 0; expert < grid.Count; expert += grid.Count <= MostExpertsChecked ? 1 : grid.Experts)
        {
            (int layer, int number) = grid.At(expert);
            checkedModel.Catalog.CheckExpert(checkedModel.Tensors, layer, number);
        }

        builder.Services.AddExpertShards(services =>
        {
            ModelDirectory model = services.GetRequiredService<ModelDirectory>();
            CpuCompute compute = services.GetRequiredService<CpuCompute>();
            ILogger log = services.GetRequiredService<ILoggerFactory>().CreateLogger(typeof(Devices).FullName!);
            return new ShardHostOptions
            {
                Grid = grid,
                Format = model.Catalog.IsExpertQuantized(grid.FirstLayer, 0) ? "int4-g32" : "bf16",
                Source = model.Tensors,
                SharesThreads = true,
                CreateDevices = () => Devices.Create(model, options, compute, log),
                LeavesOut = (device, failure) => GpuDevices.LeavesOut(device, failure, options, log),
            };
        });
    }

    private static ExpertGrid Grid(ModelConfig config)
    {
        int first = config.FirstDenseLayers;
        int layers = config.LayerCount - first;
        return layers > 0 && Enumerable.Range(first, layers).All(config.IsMoeLayer)
            ? new ExpertGrid(first, layers, config.RoutedExperts)
            : throw new K2FailureException($"config.json: of {config.LayerCount} layers, those from first_k_dense_replace {first} on must all have routed experts (moe_layer_freq 1), and there must be one at least.");
    }
}
