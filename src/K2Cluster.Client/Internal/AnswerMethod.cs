using Google.Protobuf.Collections;
using Grpc.Core;
using K2Cluster.Protocol.V1;

namespace K2Cluster.Client.Internal;

/// <summary>One of the two methods that generate: their messages say the same under different types.</summary>
internal abstract class AnswerMethod<TRequest, TEvent>
{
    public abstract AsyncServerStreamingCall<TEvent> Call(Inference.InferenceClient gateway, TRequest request, CallOptions options);

    public abstract TRequest Clone(TRequest request);

    /// <summary>Those of the request, which has some after this.</summary>
    public abstract GenerationOptions Options(TRequest request);

    public abstract TokenIds? Generated(TRequest request);

    public abstract uint Choice(TRequest request);

    public abstract void Resume(TRequest request, uint choice, TokenIds generated);

    public abstract Started? Started(TEvent item);

    public abstract bool IsFinished(TEvent item);

    public abstract uint Choice(TEvent item);

    public abstract RepeatedField<uint> TokenIds(TEvent item);

    /// <summary>Whether it says nothing.</summary>
    public abstract bool IsEmpty(TEvent item);
}
