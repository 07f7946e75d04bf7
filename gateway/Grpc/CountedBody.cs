using System.Globalization;
using System.IO.Pipelines;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using K2Cluster.Gateway.Serving;
using Microsoft.AspNetCore.Http.Features;

namespace K2Cluster.Gateway.Grpc;

/// <summary>
/// Counts what a gRPC call's messages take, while they are collected and until the call ends, and refuses it where all
/// requests together would hold too much. gRPC reads a message before anything else of ours sees the call.
/// </summary>
internal sealed class CountedBody(PipeReader body, BodyIntake.Share share) : PipeReader, IRequestBodyPipeFeature
{
    public PipeReader Reader => this;

    /// <summary>Middleware: before routing's endpoint runs.</summary>
    public static async Task InvokeAsync(HttpContext http, RequestDelegate next)
    {
        if (http.GetEndpoint()?.Metadata.GetMetadata<GrpcMethodMetadata>() is null)
        {
            await next(http);
            return;
        }

        // As over HTTP: what a few bytes blow up to would be counted by nobody.
        if (http.Request.Headers["grpc-encoding"] is { Count: > 0 } encoding && encoding != "identity")
        {
            http.Response.ContentType = "application/grpc";
            http.Response.Headers["grpc-status"] = ((int)StatusCode.Unimplemented).ToString(CultureInfo.InvariantCulture);
            http.Response.Headers["grpc-message"] = "Compressed messages are not taken; send them with grpc-encoding: identity.";
            return;
        }

        using BodyIntake.Share share = http.RequestServices.GetRequiredService<BodyIntake>().Begin();
        http.Features.Set<IRequestBodyPipeFeature>(new CountedBody(http.Request.BodyReader, share));
        await next(http);
        UnreadableMessage.Answer(http);
    }

    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => Counted(await body.ReadAsync(cancellationToken));

    public override bool TryRead(out ReadResult result)
    {
        bool any = body.TryRead(out result);
        if (any)
            Counted(result);
        return any;
    }

    public override void AdvanceTo(SequencePosition consumed) => body.AdvanceTo(consumed);

    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => body.AdvanceTo(consumed, examined);

    public override void CancelPendingRead() => body.CancelPendingRead();

    public override void Complete(Exception? exception = null) => body.Complete(exception);

    private ReadResult Counted(ReadResult read)
    {
        try
        {
            share.Hold(read.Buffer.Length);
            return read;
        }
        catch (RequestException error)
        {
            body.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            throw ErrorInterceptor.Translated(error);
        }
    }
}
