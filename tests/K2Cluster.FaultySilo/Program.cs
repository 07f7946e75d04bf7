using K2Cluster.Cluster;
using K2Cluster.Embedding;
using K2Cluster.FaultySilo;
using K2Cluster.Hosting;

return await K2Program.RunAsync(
    args,
    K2Role.Silo,
    static (builder, options) =>
    {
        builder.AddK2Member(options);
        builder.Services.MakeFaulty(FaultSettings.FromEnvironment());
    },
    map: null,
    typeof(ClusterException));
