using K2Cluster.Checkpoint;
using K2Cluster.Cluster.Plans;
using K2Cluster.Engine;
using K2Cluster.Gateway.Serving;
using K2Cluster.Hosting;
using K2Cluster.Kernels.Compute;
using K2Cluster.Kernels.Experts;
using K2Cluster.Text;
using K2Cluster.Trunk;

namespace K2Cluster.Gateway.Loading;

/// <summary>
/// Loads the model while the cluster forms, runs the engine, and says when both are there. When the process stops, the engine
/// goes first: answers that the drain left end, so that the server need not wait for them and clients go on elsewhere; and the
/// cluster goes after this service, since hosted services stop in the reverse of the order in which they were added.
/// </summary>
internal sealed partial class ModelService(ModelDirectory model, CpuCompute compute, K2Options options, IExperts experts, IPlanSource plans, ModelGate gate, FatalFailure failure, TimeProvider time, ILogger<ModelService> log) : BackgroundService, IHostedLifecycleService, IReadiness
{
    private readonly CancellationTokenSource _ending = new();
    private readonly TaskCompletionSource _loaded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task<(CpuTrunk Trunk, K2Tokenizer? Tokenizer)>? _loading;
    private volatile string _progress = "opening the checkpoint";

    public bool IsReady => _loaded.Task.IsCompletedSuccessfully && plans.NotReadyReason is null;

    public string Reason
    {
        get
        {
            if (!_loaded.Task.IsCompletedSuccessfully)
                return _progress;
            return plans.NotReadyReason ?? (plans.Current is { } plan ? $"{plan.Grid.Count} experts on {plan.Shards.Length} shard{(plan.Shards.Length == 1 ? "" : "s")}" : "no experts");
        }
    }

    public string PublicReason => _loaded.Task.IsCompletedSuccessfully ? plans.PublicNotReadyReason ?? "about to be ready" : _progress;

    public async Task WaitAsync(CancellationToken cancellation)
    {
        await _loaded.Task.WaitAsync(cancellation);
        await plans.WaitForCompleteAsync(cancellation);
    }

    /// <summary>Begins to load before the cluster's silo starts. Minutes of reading for a large model: not on a thread of the pool.</summary>
    public Task StartingAsync(CancellationToken cancellationToken)
    {
        _loading = Task.Factory.StartNew(Load, _ending.Token, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return Task.CompletedTask;
    }

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => _ending.CancelAsync();

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override void Dispose()
    {
        _ending.Dispose();
        base.Dispose();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            (CpuTrunk trunk, K2Tokenizer? tokenizer) = await _loading!;
            GenerationEngine engine = new(trunk, EngineOptions(), time);
            try
            {
                gate.Open(Served(engine, tokenizer));
                _loaded.SetResult();
                // Not stoppingToken: that comes after the server's turn to stop, which waits for the answers under way.
                Task watching = ExpertReturns.WatchAsync(plans, engine.RetryNow, _ending.Token);
                await await Task.WhenAny(engine.Completion, watching);
            }
            finally
            {
                await EndAsync(engine, trunk);
            }
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested || stoppingToken.IsCancellationRequested)
        {
            _loaded.TrySetCanceled(CancellationToken.None);
        }
        catch (Exception error)
        {
            // Whoever waits for readiness reports it; later, it ends the process.
            if (!_loaded.TrySetException(error))
                failure.Stop(error);
        }
    }

    private static async ValueTask EndAsync(GenerationEngine engine, CpuTrunk trunk)
    {
        try
        {
            await engine.DisposeAsync();
        }
        finally
        {
            // A step that hangs still uses the trunk's memory, which then goes with the process.
            if (engine.Completion.IsCompleted)
                trunk.Dispose();
        }
    }

    private (CpuTrunk Trunk, K2Tokenizer? Tokenizer) Load()
    {
        long pageBytes = CpuTrunk.KvPageBytes(model.Config, new LayerRange(0, model.Config.LayerCount));
        if (options.KvMemory < pageBytes)
            throw new K2FailureException($"--kv-memory is {options.KvMemory:N0} bytes; a page of {ITrunk.PageTokens} tokens takes {pageBytes:N0} with this model, and a request needs one at least. Give it more.");
        Task<K2Tokenizer?> tokenizer = Task.Run(LoadTokenizer);
        CpuTrunk trunk = LoadTrunk();
        try
        {
            return (trunk, tokenizer.GetAwaiter().GetResult());
        }
        catch
        {
            trunk.Dispose();
            throw;
        }
    }

    private CpuTrunk LoadTrunk()
    {
        try
        {
            return CpuTrunk.Load(
                model.Config,
                model.Tensors,
                compute,
                experts,
                new TrunkOptions { KvMemoryBytes = options.KvMemory, MaxRows = options.StepTokens },
                progress => _progress = $"loading the trunk, {progress.Layers} of {progress.TotalLayers} layers",
                _ending.Token);
        }
        catch (OutOfMemoryException exception)
        {
            throw new K2FailureException($"This machine has no memory for the model's trunk beside a --kv-memory of {options.KvMemory:N0} bytes. Give less --kv-memory, or a machine with more; k2 inspect says what the trunk takes.", exception);
        }
    }

    private EngineOptions EngineOptions() => new()
    {
        PrefixCache = options.PrefixCache,
        DraftTokens = options.Speculate,
        MaxRunning = options.MaxRunning,
        MaxWaiting = options.MaxWaiting,
        StepTokens = options.StepTokens,
        PrefillChunkTokens = options.ChunkTokens,
        // Those that run had the drain's time.
        StopGrace = TimeSpan.Zero,
    };

    private K2Tokenizer? LoadTokenizer()
    {
        K2Tokenizer? tokenizer = K2Tokenizer.TryLoad(model.Path);
        return tokenizer is null || tokenizer.VocabularySize <= model.Config.VocabularySize ? tokenizer
            : throw new K2FailureException($"{model.Path}: its tokenizer has {tokenizer.VocabularySize} tokens, its model {model.Config.VocabularySize}: they do not belong together.");
    }

    private ServedModel Served(GenerationEngine engine, K2Tokenizer? tokenizer)
    {
        if (tokenizer is not null && !ChatFamily.IsKnown(model.Config))
            LogForeignChat(log, options.Name);
        if (engine.MaxContext < model.Config.MaxPositions)
            LogShortContext(log, engine.MaxContext, model.Config.MaxPositions);
        GenerationConfig generation = model.Generation;
        return new ServedModel(options.Name, engine, tokenizer, time.GetUtcNow())
        {
            DefaultTemperature = generation.Temperature ?? 1,
            DefaultTopP = generation.TopP ?? 1,
            StopTokens = [.. generation.EndTokens.Union(tokenizer?.Special.Stops ?? [])],
        };
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Conversations are rendered with Kimi K2 Thinking's template, which is not that of {Model}'s family: its chat answers may be worse than they could be. Raw completions are not affected.")]
    private static partial void LogForeignChat(ILogger logger, string model);

    [LoggerMessage(Level = LogLevel.Warning, Message = "--kv-memory holds {Tokens} tokens, fewer than the model's context of {Context}: longer requests are refused.")]
    private static partial void LogShortContext(ILogger logger, int tokens, int context);
}
