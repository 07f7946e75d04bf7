using Google.Protobuf.Collections;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Internal;

internal sealed class GenerateMethod : AnswerMethod<GenerateRequest, GenerateEvent>
{
    public override AsyncServerStreamingCall<GenerateEvent> Call(Inference.InferenceClient gateway, GenerateRequest request, CallOptions options) => gateway.Generate(request, options);

    public override GenerateRequest Clone(GenerateRequest request) => request.Clone();

    public override GenerationOptions Options(GenerateRequest request) => request.Options ??= new GenerationOptions();

    public override TokenIds? Generated(GenerateRequest request) => request.Generated;

    public override uint Choice(GenerateRequest request) => request.Choice;

    public override void Resume(GenerateRequest request, uint choice, TokenIds generated) => (request.Choice, request.Generated) = (choice, generated);

    public override Started? Started(GenerateEvent item) => item.EventCase == GenerateEvent.EventOneofCase.Started ? item.Started : null;

    public override bool IsFinished(GenerateEvent item) => item.EventCase == GenerateEvent.EventOneofCase.Finished;

    public override uint Choice(GenerateEvent item) => item.Choice;

    public override RepeatedField<uint> TokenIds(GenerateEvent item) => item.TokenIds;

    public override bool IsEmpty(GenerateEvent item) => item.EventCase == GenerateEvent.EventOneofCase.None && item.TokenIds.Count + item.Logprobs.Count == 0;
}
