using Google.Protobuf;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Cli.Tests;

/// <summary>The administration of a gateway, which answers as a test says.</summary>
internal sealed class MadeUpAdmin : Admin.AdminClient
{
    private readonly Queue<ClusterStatus> _statuses = new();

    public ClusterPlan Plan { get; init; } = new();

    public Explanation Explanation { get; init; } = new();

    public ChangeResponse Response { get; init; } = new() { Cluster = "m" };

    public List<IMessage> Requests { get; } = [];

    /// <summary>Instead of any answer.</summary>
    public RpcException? Fails { get; init; }

    public override AsyncUnaryCall<ClusterStatus> GetStatusAsync(GetStatusRequest request, CallOptions options) => Answer(request, _statuses.Count > 1 ? _statuses.Dequeue() : _statuses.TryPeek(out ClusterStatus? last) ? last : new ClusterStatus());

    public override AsyncUnaryCall<ClusterPlan> GetPlanAsync(GetPlanRequest request, CallOptions options) => Answer(request, Plan);

    public override AsyncUnaryCall<Explanation> ExplainAsync(ExplainRequest request, CallOptions options) => Answer(request, Explanation);

    public override AsyncUnaryCall<ChangeResponse> ChangeAsync(ChangeRequest request, CallOptions options)
    {
        Response.WhatIf = request.WhatIf;
        return Answer(request, Response);
    }

    /// <summary>Statuses to come, the last for ever.</summary>
    public MadeUpAdmin With(params ClusterStatus[] statuses)
    {
        foreach (ClusterStatus status in statuses)
            _statuses.Enqueue(status);
        return this;
    }

    private AsyncUnaryCall<T> Answer<T>(IMessage request, T answer)
    {
        Requests.Add(request);
        return new AsyncUnaryCall<T>(Fails is null ? Task.FromResult(answer) : Task.FromException<T>(Fails), Task.FromResult(new Metadata()), () => Status.DefaultSuccess, () => [], () => { });
    }
}
