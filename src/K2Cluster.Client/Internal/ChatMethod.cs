using Google.Protobuf.Collections;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Internal;

internal sealed class ChatMethod : AnswerMethod<ChatRequest, ChatEvent>
{
    public override AsyncServerStreamingCall<ChatEvent> Call(Inference.InferenceClient gateway, ChatRequest request, CallOptions options) => gateway.Chat(request, options);

    public override ChatRequest Clone(ChatRequest request) => request.Clone();

    public override GenerationOptions Options(ChatRequest request) => request.Options ??= new GenerationOptions();

    public override TokenIds? Generated(ChatRequest request) => request.Generated;

    public override uint Choice(ChatRequest request) => request.Choice;

    public override void Resume(ChatRequest request, uint choice, TokenIds generated) => (request.Choice, request.Generated) = (choice, generated);

    public override Started? Started(ChatEvent item) => item.EventCase == ChatEvent.EventOneofCase.Started ? item.Started : null;

    public override bool IsFinished(ChatEvent item) => item.EventCase == ChatEvent.EventOneofCase.Finished;

    public override uint Choice(ChatEvent item) => item.Choice;

    public override RepeatedField<uint> TokenIds(ChatEvent item) => item.TokenIds;

    public override bool IsEmpty(ChatEvent item) => item.EventCase == ChatEvent.EventOneofCase.None && item.TokenIds.Count + item.Logprobs.Count == 0;
}
